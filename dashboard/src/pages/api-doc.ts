/** The parts of the description of the API (OpenAPI 3.1) that the reference shows. */
export interface Description {
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, RawOperation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Response> };
}

export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  description?: string;
  example?: unknown;
  schema?: Schema;
}

type Content = Record<string, { schema?: Schema; example?: unknown }>;

export interface Response {
  $ref?: string;
  description?: string;
  content?: Content;
  headers?: Record<string, { schema?: Schema }>;
}

interface RawOperation {
  operationId: string;
  summary: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { description?: string; content: Content };
  responses: Record<string, Response>;
  security?: Record<string, string[]>[];
}

export interface Operation extends RawOperation {
  method: string;
  path: string;
  /** The scope that a token needs, undefined where none is needed. */
  scope?: string;
  /** Also callers of the node's own machine need a token. */
  always: boolean;
}

export interface Group {
  name: string;
  operations: Operation[];
}

/** The order in which people look for things; groups that are not named come behind. */
const order = ["node", "peers", "records", "providers", "topics", "ledger", "health"];

/** Returns the operations by what they are about. */
export function groupsOf(doc: Description): Group[] {
  const groups = new Map<string, Operation[]>(order.map((name) => [name, []]));
  for (const [path, methods] of Object.entries(doc.paths)) {
    for (const [method, raw] of Object.entries(methods)) {
      const token = raw.security?.find((one) => one["token"]);
      const name = raw.tags?.[0] ?? "other";
      const operation = { ...raw, path, method: method.toUpperCase(), scope: token?.["token"]?.[0], always: Boolean(token) && !raw.security!.some((one) => !one["token"]) };
      groups.set(name, [...(groups.get(name) ?? []), operation]);
    }
  }
  return [...groups].filter(([, list]) => list.length > 0).map(([name, operations]) => ({ name, operations }));
}

/** Says whether every word of a text is somewhere in what an operation says of itself. */
export function matches(o: Operation, text: string): boolean {
  const all = [o.method, o.path, o.operationId, o.summary, ...(o.parameters ?? []).flatMap((p) => [p.name, p.description ?? ""])].join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

const nameOf = (ref: string): string => ref.slice(ref.lastIndexOf("/") + 1);

/** Returns the schema that one refers to, with its name. */
export function resolve(doc: Description, schema: Schema | undefined): { schema: Schema; name?: string } {
  if (!schema?.$ref) return { schema: schema ?? {} };
  const name = nameOf(schema.$ref);
  return { schema: doc.components.schemas[name] ?? {}, name };
}

export function responseOf(doc: Description, response: Response): { response: Response; name?: string } {
  if (!response.$ref) return { response };
  const name = nameOf(response.$ref);
  return { response: doc.components.responses[name] ?? {}, name };
}

/** Says in a word or two what values a schema takes. */
export function typeOf(doc: Description, schema: Schema | undefined): string {
  const { schema: s, name } = resolve(doc, schema);
  if (s.enum) return s.enum.map((value) => JSON.stringify(value)).join(" | ");
  const type = [s.type ?? "any"].flat().filter((t) => t !== "null").join(" | ");
  if (type === "array") return `list of ${typeOf(doc, s.items)}`;
  if (type === "object") return name ?? "object";
  return s.format ? `${type}, ${s.format}` : type;
}

/** Returns the schema of the documents that a schema is, or is a list of, if these have members to tell of. */
export function membersOf(doc: Description, schema: Schema | undefined): Schema | undefined {
  const { schema: s } = resolve(doc, schema);
  if (s.items) return membersOf(doc, s.items);
  return s.properties ? s : undefined;
}

const quoted = (text: string): string => (/^[\w./:=@%?&,-]+$/.test(text) && !text.includes("&") && !text.includes("?") ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** Writes an example of an operation as a command for a shell. */
export function curlOf(o: Operation, origin: string): string {
  const value = (p: Parameter) => p.example ?? p.schema?.default;
  let path = o.path;
  const query = new URLSearchParams();
  const headers: string[] = [];
  for (const p of o.parameters ?? []) {
    if (p.in === "path") path = path.replace(`{${p.name}}`, encodeURIComponent(String(value(p) ?? p.name.toUpperCase())));
    else if (p.example === undefined) continue;
    else if (p.in === "query") query.set(p.name, String(p.example));
    else headers.push(`${p.name}: ${String(p.example)}`);
  }
  const [type, body] = Object.entries(o.requestBody?.content ?? {})[0] ?? [];
  const parts = ["curl"];
  if (o.method === "HEAD") parts.push("-I");
  else if (o.method !== "GET") parts.push("-X", o.method);
  if (o.always) parts.push("-H", '"Authorization: Bearer $TOKEN"');
  for (const header of headers) parts.push("-H", quoted(header));
  if (type === "application/json") parts.push("-H", quoted(`Content-Type: ${type}`));
  if (body?.example !== undefined) {
    const binary = type?.startsWith("application/vnd.");
    parts.push(binary ? "--data-binary" : "-d", binary ? "@FILE" : quoted(typeof body.example === "string" ? body.example : JSON.stringify(body.example)));
  }
  parts.push(quoted(`${origin}${path}${query.size ? `?${query}` : ""}`));
  return parts.join(" ");
}
