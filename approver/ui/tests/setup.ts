// One stage and one browser for the tests of a file.

import { afterAll, afterEach, beforeAll } from "vitest";

import { Desk } from "./browser";
import { Stage } from "./stage";

/** Called at the top of a file; both are there once a test runs. */
export function setUp(): { stage: Stage; desk: Desk } {
  const made = {} as { stage: Stage; desk: Desk };
  beforeAll(async () => {
    made.stage = await Stage.open();
    made.desk = await Desk.open(made.stage);
  });
  afterEach(() => made.desk.clear());
  afterAll(async () => {
    await made.desk?.close();
    await made.stage?.close();
  });
  return made;
}
