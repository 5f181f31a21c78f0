import { spawn } from "node:child_process";

/** What moot demo --json tells of its network. */
export interface Demo {
  peers: { id: string; api: string; home: string }[];
  ledger: { transaction: string; height: number; accounts: Record<string, string>; asset: string };
  /** Writes a line to the demo's standard input, such as "stop 4". */
  order(line: string): void;
  stop(): Promise<void>;
}

/** How long a demo may take until it is there, in milliseconds. */
const patience = 90_000;

/** Runs moot demo of four peers; MOOT_BINARY is the program. */
export async function startDemo(): Promise<Demo> {
  const program = process.env["MOOT_BINARY"];
  if (!program) throw new Error("MOOT_BINARY names no program: scripts/check-dashboard builds one");
  const child = spawn(program, ["demo", "--peers", "4", "--json"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  const told = new Promise<Pick<Demo, "peers" | "ledger">>((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`the demo is not there after ${patience} ms: ${text}`)), patience);
    child.stdout.on("data", (piece: Buffer) => {
      text += piece.toString();
      try {
        resolve(JSON.parse(text) as Pick<Demo, "peers" | "ledger">);
        clearTimeout(timer);
      } catch {
        // More is to come.
      }
    });
    child.once("exit", (code) => { clearTimeout(timer); reject(new Error(`the demo ended with ${code}`)); });
  });
  try {
    return { ...(await told), order: (line) => void child.stdin.write(`${line}\n`), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
