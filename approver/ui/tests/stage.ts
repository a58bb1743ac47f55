// A real approver with a host whose kernel is simulated, told what to play.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Everybody's password there. */
export const PASSWORD = "correct horse battery";

export type Fate = "passed" | "refused" | "died";

/** How long anything may take. */
const PATIENCE = 40_000;

export class Stage {
  readonly address: string;
  #program: ChildProcessWithoutNullStreams;
  #answers: AsyncIterator<string>;

  private constructor(program: ChildProcessWithoutNullStreams, answers: AsyncIterator<string>, address: string) {
    this.#program = program;
    this.#answers = answers;
    this.address = address;
  }

  static async open(): Promise<Stage> {
    const path = process.env["HOLDPOINT_STAGE"];
    if (!path) throw new Error("HOLDPOINT_STAGE names no program: use `cargo xtask test --only ui`");
    const program = spawn(path, { stdio: ["pipe", "pipe", "pipe"] });
    program.stderr.pipe(process.stderr);
    const answers = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
    const { address } = (await answer(answers)) as { address: string };
    return new Stage(program, answers, address);
  }

  async close(): Promise<void> {
    const over = new Promise((done) => this.#program.once("exit", done));
    this.#program.stdin.end();
    await over;
  }

  /** A process tries to run these; its id. */
  async exec(...argv: (string | Uint8Array)[]): Promise<number> {
    return this.#exec([], argv);
  }

  /** Likewise, with these `NAME=value` in its environment. */
  async execWith(environment: string[], ...argv: string[]): Promise<number> {
    return this.#exec(environment, argv);
  }

  async connect(address: string, port: number): Promise<number> {
    return ((await this.#play({ do: "connect", address, port })) as { process: number }).process;
  }

  /** What becomes of its attempt. */
  async fate(process: number): Promise<Fate> {
    return ((await this.#play({ do: "fate", process })) as { fate: Fate }).fate;
  }

  async exit(process: number): Promise<void> {
    await this.#play({ do: "exit", process });
  }

  async newSession(): Promise<void> {
    await this.#play({ do: "new-session" });
  }

  async stopApprover(): Promise<void> {
    await this.#play({ do: "stop-approver" });
  }

  async startApprover(): Promise<void> {
    await this.#play({ do: "start-approver" });
  }

  async #exec(environment: string[], argv: (string | Uint8Array)[]): Promise<number> {
    const command = { do: "exec", argv: argv.map(base64), environment: environment.map(base64) };
    return ((await this.#play(command)) as { process: number }).process;
  }

  async #play(command: Record<string, unknown>): Promise<unknown> {
    this.#program.stdin.write(`${JSON.stringify(command)}\n`);
    return answer(this.#answers);
  }
}

function base64(text: string | Uint8Array): string {
  return Buffer.from(text as string).toString("base64");
}

async function answer(answers: AsyncIterator<string>): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`the stage gave no answer within ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    const line = await Promise.race([answers.next(), late]);
    if (line.done) throw new Error("the stage has ended");
    return JSON.parse(line.value) as unknown;
  } finally {
    clearTimeout(timer);
  }
}
