// Says what passed and failed in the words of Rust's own test programs, so that
// all levels of tests are counted in one way.

import { relative } from "node:path";

import type { Reporter, TestCase, TestModule, TestRunEndReason } from "vitest/node";

export default class Report implements Reporter {
  #passed = 0;
  #failed = 0;
  #ignored = 0;
  readonly #begin = Date.now();

  onTestModuleStart(module: TestModule): void {
    console.log(`\n     Running ${relative(process.cwd(), module.moduleId)}`);
  }

  onTestRunStart(): void {
    // How many it will be is not known yet; the result has the numbers.
    console.log("running 0 tests");
  }

  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result();
    const file = test.module.moduleId.replace(/^.*\//, "").replace(/(\.test)?\.ts$/, "");
    const name = `${file}::${test.fullName.replaceAll(" > ", "::")}`;
    if (state === "passed") {
      this.#passed += 1;
      console.log(`test ${name} ... ok`);
    } else if (state === "failed") {
      this.#failed += 1;
      console.log(`test ${name} ... FAILED`);
      for (const error of errors) console.log(error.stack ?? error.message);
    } else {
      // A filter leaves tests out; only those that say so themselves are skipped.
      if (test.options.mode === "skip") this.#ignored += 1;
    }
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: TestRunEndReason): void {
    for (const module of modules) {
      for (const error of module.errors()) {
        this.#failed += 1;
        console.log(`test ${module.moduleId} ... FAILED`);
        console.log(error.stack ?? error.message);
      }
    }
    for (const error of unhandled) {
      this.#failed += 1;
      console.log("test unhandled error ... FAILED");
      console.log(error);
    }
    if (reason === "interrupted") return;
    const seconds = ((Date.now() - this.#begin) / 1_000).toFixed(2);
    console.log(
      `\ntest result: ${this.#failed === 0 ? "ok" : "FAILED"}. ${this.#passed} passed; ${this.#failed} failed; ` +
        `${this.#ignored} ignored; 0 measured; 0 filtered out; finished in ${seconds}s\n`,
    );
  }
}
