import type { components } from "./schema.js";

/** The body of every answer whose status is 400 or more (RFC 9457). */
export type Problem = components["schemas"]["Problem"];

/** What sort of failure a problem is, which decides what a caller can do about it. */
export type Kind = Problem["kind"];

/** A request that the node refused or could not carry out. Its message is the problem's detail. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(
    readonly problem: Problem,
    /** Seconds to wait before the next try, where the node says so. */
    readonly retryAfter?: number,
    /** The node itself said so, in a problem document, and nobody between. */
    readonly byNode = true,
  ) {
    super(problem.detail || problem.title);
  }

  get status(): number {
    return this.problem.status;
  }

  get kind(): Kind {
    return this.problem.kind;
  }
}

/** The node could not be reached, or the answer broke off. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

const kindOfStatus: Record<number, Kind> = {
  400: "invalid", 401: "forbidden", 403: "forbidden", 404: "not-found", 412: "conflict", 413: "too-large", 503: "unavailable", 507: "full",
};

/** Returns the error that an answer of status 400 or more stands for. What answers may be a proxy, whose body is no problem document. */
export async function errorOf(response: Response): Promise<ProblemError> {
  const wait = Number(response.headers.get("Retry-After") ?? NaN);
  const retryAfter = Number.isFinite(wait) ? wait : undefined;
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    try {
      return new ProblemError((await response.json()) as Problem, retryAfter);
    } catch {
      // It broke off: the status has to do.
    }
  }
  return new ProblemError({
    type: "about:blank", title: response.statusText, status: response.status,
    detail: `the answer was ${response.status} ${response.statusText}`.trim(), kind: kindOfStatus[response.status] ?? "internal",
  }, retryAfter, false);
}
