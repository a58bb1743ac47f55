// Which tests are wanted: those with one of the words of HOLDPOINT_TEST_FILTER,
// one a line, in their name.

export function namePattern(): RegExp | undefined {
  const words = (process.env["HOLDPOINT_TEST_FILTER"] ?? "").split("\n").filter((word) => word !== "");
  if (words.length === 0) return undefined;
  return new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"));
}
