import "./main.css";
import { render } from "preact";
import { startStream } from "./api/stream";
import { startInbox } from "./inbox";
import { App } from "./app";
import { loadMe } from "./me";
import "./theme";

loadMe();
startStream();
startInbox();
render(<App />, document.getElementById("app")!);
