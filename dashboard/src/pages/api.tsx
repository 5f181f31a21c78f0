import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { plural } from "../format";
import { client } from "../live";
import { Card, Copy, Trouble, useAnswer } from "../parts/basics";
import { to, type Route } from "../route";
import { curlOf, groupsOf, matches, membersOf, resolve, responseOf, typeOf, type Description, type Operation, type Parameter, type Schema } from "./api-doc";
import { saveText } from "./ledger-things";

/** How deep members of members are told of. */
const maxDepth = 4;

/** The reference of the API, from the description that the node itself gives. */
export function ApiPage({ route }: { route: Route }) {
  const { value: doc, error } = useAnswer((signal) => client.openapi(signal) as Promise<Description>, []);
  return (
    <>
      <nav class="crumbs" aria-label="Where this is"><a href="#/node">Node</a> / API</nav>
      <h1>HTTP API</h1>
      <Trouble error={error} />
      {doc ? <Reference doc={doc} opened={route.parts[0]} /> : !error && <p class="waiting">Asking the node…</p>}
    </>
  );
}

function Reference({ doc, opened }: { doc: Description; opened?: string }) {
  const groups = useMemo(() => groupsOf(doc), [doc]);
  const [text, type] = useState("");
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      search.current?.focus();
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const shown = groups.map((g) => ({ ...g, operations: g.operations.filter((o) => matches(o, text.trim())) })).filter((g) => g.operations.length > 0);
  const found = shown.reduce((n, g) => n + g.operations.length, 0);
  return (
    <>
      <form class="row find" role="search" onSubmit={(e) => e.preventDefault()}>
        <label class="grow"><span class="hidden">Search the API</span>
          <input ref={search} type="search" placeholder="Search: a path, a word, a parameter  ( / )" spellcheck={false} value={text} onInput={(e) => type(e.currentTarget.value)} onKeyDown={(e) => e.key === "Escape" && type("")} /></label>
        <button type="button" onClick={() => saveText("openapi.json", JSON.stringify(doc, null, 2))}>Save openapi.json</button>
      </form>
      <p class="quiet" role="status">{text.trim() ? `${plural(found, "operation")} found.` : `${plural(found, "operation")}, version ${doc.info.version}. Tab goes from one to the next, Enter opens one.`}</p>
      {shown.map((g) => (
        <Card key={g.name} title={g.name} id={`api-${g.name}`} class="api" extra={<small>{plural(g.operations.length, "operation")}</small>}>
          {g.operations.map((o) => <OperationItem key={o.operationId} doc={doc} of={o} open={o.operationId === opened} />)}
        </Card>
      ))}
      {!text.trim() && <><Problems doc={doc} opened={opened} /><Rules text={doc.info.description} /></>}
    </>
  );
}

function OperationItem({ doc, of: o, open: asked }: { doc: Description; of: Operation; open: boolean }) {
  const [open, set] = useState(asked);
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (!asked) return;
    set(true);
    box.current?.scrollIntoView({ block: "start" });
  }, [asked]);
  return (
    <details ref={box} open={open} onToggle={(e) => set(e.currentTarget.open)}>
      <summary><b class={`method ${o.method.toLowerCase()}`}>{o.method}</b> <code class="break">{o.path}</code> <span>{o.summary}</span></summary>
      {open && <OperationBody doc={doc} of={o} />}
    </details>
  );
}

function OperationBody({ doc, of: o }: { doc: Description; of: Operation }) {
  const command = curlOf(o, location.origin);
  const body = Object.entries(o.requestBody?.content ?? {});
  const answers = Object.entries(o.responses).filter(([status]) => status !== "default").map(([status, r]) => ({ status, ...responseOf(doc, r) }));
  return (
    <div class="operation">
      <p class="quiet">{o.scope ? <>Needs a token of the scope <b>{o.scope}</b>{o.always ? ", on this machine, too" : ", where the node asks for tokens"}.</> : "Needs no token."} <a href={to("api", o.operationId)}>Link to this</a></p>
      <Example title="Try it" text={command} />
      {o.parameters && o.parameters.length > 0 && <Parameters doc={doc} list={o.parameters} />}
      {body.map(([type, content]) => (
        <section key={type} aria-label={`Body, ${type}`}>
          <h3>Body <small>{type}</small></h3>
          {o.requestBody?.description && <p>{told(o.requestBody.description)}</p>}
          <Members doc={doc} schema={content.schema} />
          {content.example !== undefined && <Example title="Such as" text={written(content.example)} />}
        </section>
      ))}
      {answers.filter((a) => !a.name).map((a) => Object.entries(a.response.content ?? { "no body": {} }).map(([type, content]) => (
        <section key={a.status + type} aria-label={`Answer ${a.status}, ${type}`}>
          <h3>Answer {a.status} <small>{type}</small></h3>
          <Members doc={doc} schema={content.schema} />
          {Object.keys(a.response.headers ?? {}).length > 0 && <p class="quiet">With the headers {Object.keys(a.response.headers!).map((name, i) => <>{i > 0 && ", "}<code>{name}</code></>)}.</p>}
          {content.example !== undefined && <Example title="Such as" text={written(content.example)} />}
        </section>
      )))}
      <section aria-label="Problems">
        <h3>Problems</h3>
        <ul class="row">{answers.filter((a) => a.name).map((a) => <li key={a.status}><a href={to("api", "problems")} title={a.response.description}>{a.status} {a.name}</a></li>)}</ul>
      </section>
    </div>
  );
}

function Parameters({ doc, list }: { doc: Description; list: Parameter[] }) {
  return (
    <section aria-label="Parameters">
      <h3>Parameters</h3>
      <dl class="members">
        {list.map((p) => (
          <div key={p.in + p.name}>
            <dt><code>{p.name}</code> <small>{p.in}{p.required && ", required"}</small></dt>
            <dd><small>{bounds(typeOf(doc, p.schema), p.schema)}</small> {told(p.description ?? "")}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** Tells of the members of a document; those that are documents can be opened. */
function Members({ doc, schema, depth = 0 }: { doc: Description; schema: Schema | undefined; depth?: number }) {
  const document = membersOf(doc, schema);
  if (!document?.properties) return depth === 0 && schema ? <p class="quiet">{typeOf(doc, schema)}</p> : null;
  return (
    <dl class="members">
      {Object.entries(document.properties).map(([name, member]) => (
        <div key={name}>
          <dt><code>{name}</code>{!document.required?.includes(name) && <small> may be absent</small>}</dt>
          <dd>
            <small>{bounds(typeOf(doc, member), resolve(doc, member).schema)}</small> {told(member.description ?? "")}
            {depth < maxDepth && membersOf(doc, member) && <Inner doc={doc} name={name} schema={member} depth={depth + 1} />}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Inner({ doc, name, schema, depth }: { doc: Description; name: string; schema: Schema; depth: number }) {
  const [open, set] = useState(false);
  return (
    <details open={open} onToggle={(e) => { e.stopPropagation(); set(e.currentTarget.open); }}>
      <summary>what is in <code>{name}</code></summary>
      {open && <Members doc={doc} schema={schema} depth={depth} />}
    </details>
  );
}

/** The kinds of problems, one for each status that says what a caller can do. */
function Problems({ doc, opened }: { doc: Description; opened?: string }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (opened === "problems") box.current?.scrollIntoView({ block: "start" });
  }, [opened]);
  const list = Object.entries(doc.components.responses).flatMap(([name, response]) => {
    const example = Object.values(response.content ?? {})[0]?.example as { status: number; kind: string; type: string; detail: string } | undefined;
    return example ? [{ name, response, example }] : [];
  });
  return (
    <div ref={box}>
      <Card title="Problems" id="api-problems" class="api">
        <p>Every answer of 400 or more is a problem document (RFC 9457), of the type <code>application/problem+json</code>. Its kind says what a caller can do.</p>
        <dl class="members">
          {list.sort((a, b) => a.example.status - b.example.status).map(({ name, response, example }) => (
            <div key={name}>
              <dt>{example.status} <code>{example.kind}</code></dt>
              <dd>{response.description} <small>such as “{example.detail}”, of the type <code class="break">{example.type}</code></small></dd>
            </div>
          ))}
        </dl>
      </Card>
    </div>
  );
}

function Rules({ text }: { text: string }) {
  return <Card title="What holds for all of them" id="api-rules" class="api">{text.split("\n\n").map((part, i) => <p key={i}>{told(part)}</p>)}</Card>;
}

function Example({ title, text }: { title: string; text: string }) {
  return (
    <figure>
      <figcaption class="row"><small>{title}</small><Copy text={text} what="example" /></figcaption>
      <pre class="value" tabIndex={0} aria-label={title}>{text}</pre>
    </figure>
  );
}

const written = (example: unknown): string => (typeof example === "string" ? example : JSON.stringify(example, null, 2));

function bounds(type: string, s: Schema | undefined): string {
  const parts = [type];
  if (s?.minimum !== undefined) parts.push(`from ${s.minimum}`);
  if (s?.maximum !== undefined) parts.push(`to ${s.maximum}`);
  if (s?.maxLength !== undefined) parts.push(`${s.minLength ? `${s.minLength} to` : "up to"} ${s.maxLength} characters`);
  if (s?.default !== undefined) parts.push(`otherwise ${JSON.stringify(s.default)}`);
  return parts.join(", ");
}

/** Shows text with what is between ` as code and between ** bold; nothing else in it means anything. */
function told(text: string): ComponentChildren {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part, i) => {
    if (part.startsWith("`")) return <code key={i} class="break">{part.slice(1, -1)}</code>;
    if (part.startsWith("**")) return <b key={i}>{part.slice(2, -2)}</b>;
    return part;
  });
}
