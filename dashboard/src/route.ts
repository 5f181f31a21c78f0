import { useEffect, useState } from "preact/hooks";

/** Where in the page one is: the parts of the address behind the #, decoded. Keys may have slashes in them, which are written %2F. */
export interface Route {
  parts: string[];
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns the address of a place within the page. */
export const to = (...parts: (string | number)[]): string => `#/${parts.map((part) => encodeURIComponent(String(part))).join("/")}`;

export function go(href: string): void {
  location.hash = href.replace(/^#/, "");
}

export function useRoute(): Route {
  const [route, set] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = () => set(parseRoute(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
