// Does something at once, and then no more often than every so often, however
// often it is asked for; the last time asked is never lost.

export function calm(act: () => void, every = 1_000): () => void {
  let resting = false;
  let asked = false;
  const go = (): void => {
    resting = true;
    asked = false;
    setTimeout(() => {
      resting = false;
      if (asked) go();
    }, every);
    act();
  };
  return () => {
    if (resting) asked = true;
    else go();
  };
}
