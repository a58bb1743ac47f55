// Single-key shortcuts. They can be switched off, for people whose software
// sends keys of its own.

import { remember, remembered } from "./storage";

class Keys {
  on = $state(remembered("keys") !== "off");
  help = $state(false);

  set(on: boolean): void {
    this.on = on;
    remember("keys", on ? undefined : "off");
  }
}

export const keys = new Keys();

/**
 * Calls what belongs to a key pressed outside of fields and dialogs, as long as
 * the calling component lives. Call it in an effect.
 */
export function onKeys(actions: Record<string, () => void>): () => void {
  const listen = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!keys.on && event.key !== "?") return;
    if (document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (target instanceof Element && target.closest("input:not([type=radio], [type=checkbox]), select, textarea")) return;
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
    if (!action) return;
    event.preventDefault();
    action();
  };
  addEventListener("keydown", listen);
  return () => removeEventListener("keydown", listen);
}
