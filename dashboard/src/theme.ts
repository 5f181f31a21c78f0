/** How the page looks: as the system says, or always one way. */
export type Theme = "system" | "light" | "dark";

const name = "folkmoot-theme";

export function storedTheme(): Theme {
  const value = localStorage.getItem(name);
  return value === "light" || value === "dark" ? value : "system";
}

export function applyTheme(theme: Theme = storedTheme()): void {
  if (theme === "system") {
    localStorage.removeItem(name);
    delete document.documentElement.dataset["theme"];
  } else {
    localStorage.setItem(name, theme);
    document.documentElement.dataset["theme"] = theme;
  }
}
