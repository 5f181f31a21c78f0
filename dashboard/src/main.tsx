import { render } from "preact";
import { App } from "./app";
import { startLive } from "./live";
import { applyTheme } from "./theme";
import "./style.css";

applyTheme();
startLive();
render(<App />, document.getElementById("app")!);
