// What is told to screen readers, politely and once.

class Voice {
  text = $state("");
}

export const voice = new Voice();

export function announce(text: string): void {
  // The same words again would not be a change, and so not be read.
  voice.text = voice.text === text ? `${text}\u00a0` : text;
}
