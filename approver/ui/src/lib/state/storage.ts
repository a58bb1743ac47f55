// Small choices of one person on one browser. Storage may be blocked; then they
// last as long as the page.

const memory = new Map<string, string>();

export function remembered(name: string): string | undefined {
  try {
    return localStorage.getItem(`holdpoint-${name}`) ?? undefined;
  } catch {
    return memory.get(name);
  }
}

export function remember(name: string, value: string | undefined): void {
  try {
    if (value === undefined) localStorage.removeItem(`holdpoint-${name}`);
    else localStorage.setItem(`holdpoint-${name}`, value);
  } catch {
    if (value === undefined) memory.delete(name);
    else memory.set(name, value);
  }
}
