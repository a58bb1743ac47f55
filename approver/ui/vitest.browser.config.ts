import { defineConfig } from "vitest/config";

import { namePattern } from "./tests/filter";

const wanted = namePattern();

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
    reporters: ["./tests/report.ts"],
    // One browser, one approver: the machine has other things to do.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    ...(wanted ? { testNamePattern: wanted } : {}),
  },
});
