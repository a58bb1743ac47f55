// What is told to screen readers, politely and once.

import { untrack } from "svelte";

class Voice {
  text = $state("");
}

export const voice = new Voice();

export function announce(text: string): void {
  // The same words again would not be a change, and so not be read.
  voice.text = untrack(() => voice.text) === text ? `${text}\u00a0` : text;
}
