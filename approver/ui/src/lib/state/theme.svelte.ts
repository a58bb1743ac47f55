// Light, dark, or as the system has it.

import { remember, remembered } from "./storage";

export type Theme = "system" | "light" | "dark";

const ORDER: readonly Theme[] = ["system", "light", "dark"];

function stored(): Theme {
  const value = remembered("theme");
  return value === "light" || value === "dark" ? value : "system";
}

class Choice {
  value = $state<Theme>(stored());

  set(theme: Theme): void {
    this.value = theme;
    remember("theme", theme === "system" ? undefined : theme);
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }

  next(): void {
    this.set(ORDER[(ORDER.indexOf(this.value) + 1) % ORDER.length] ?? "system");
  }
}

export const theme = new Choice();
