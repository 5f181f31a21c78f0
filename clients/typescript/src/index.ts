export * from "./client.js";
export { EventParser, stream, type ServerEvent, type StreamOptions } from "./events.js";
export { ProblemError, UnreachableError, type Kind, type Problem } from "./problem.js";
export type { components, operations, paths } from "./schema.js";
