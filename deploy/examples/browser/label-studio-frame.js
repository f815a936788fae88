// Keeps Label Studio open in a frame. Copy this file into your application; it needs nothing else.
//
// A fresh token is requested from your server when the frame is opened, and whenever a page of the gate says that the
// link has expired or that nobody is signed in. The user sees neither. docs/embedding.md describes the messages.
//
// Your page's origin must be in the gate's policy.allowed_origins. Your page must not be sent with
// "Referrer-Policy: no-referrer": the browser would hide its origin from the gate.

const FRESH_TOKEN_HELPS = ["link_expired", "sign_in_required"];

/**
 * @typedef {object} State
 * @property {"opening" | "open" | "signed_out" | "failed"} kind
 * @property {string} [type] of a failure: the type of the gate's message, or "no_token"
 * @property {string} [reason] the gate's reason, see docs/reasons.md
 * @property {string} [requestId] finds the line in the gate's log
 * @property {unknown} [error] what getToken threw
 */

/**
 * Opens Label Studio in a frame on this page.
 *
 * @param {HTMLIFrameElement} frame without src, in the document. With the attribute "sandbox", it needs a name
 * @param {object} options
 * @param {string} options.labelStudio Label Studio's URL: "https://labelstudio.example.com", or with a path
 * @param {() => Promise<string | null>} options.getToken gets a fresh token from your server. Null: Label Studio is opened
 *   without one (method 3)
 * @param {string} [options.path] the page of Label Studio to open
 * @param {(state: State) => void} [options.onChange] is told every change
 * @param {number} [options.renewals] how many fresh tokens in a row may fail
 * @param {number} [options.settled] milliseconds after which an open page counts as a success
 * @returns {{open: (path?: string) => void, close: () => void}} `open` opens another page, or tries again
 */
export function embedLabelStudio(frame, options) {
  const { labelStudio, getToken, onChange = () => {}, renewals = 3, settled = 10000 } = options;
  const base = new URL(labelStudio, window.location.href);
  const prefix = base.pathname.replace(/\/$/, "");
  let current = prefix + (options.path ?? "/projects/");
  let attempt = 0; // An answer to an older attempt no longer counts.
  let renewed = 0;
  let isFetching = false;
  let isTold = false; // The page that is loading has sent a message.
  let quiet; // Runs from a page's load event, for a message that comes later.
  let success;

  function stopWaiting() {
    clearTimeout(quiet);
    clearTimeout(success);
    quiet = success = undefined;
  }

  async function load(path) {
    const mine = ++attempt;
    stopWaiting();
    current = path;
    isFetching = true;
    onChange({ kind: "opening" });
    try {
      const token = await getToken();
      if (mine !== attempt) return;
      isTold = false;
      if (token) post({ token, next: path });
      else frame.src = new URL(path, base).href;
    } catch (error) {
      if (mine === attempt) onChange({ kind: "failed", type: "no_token", error });
    } finally {
      if (mine === attempt) isFetching = false;
    }
  }

  // A form keeps the token out of every URL, history and log.
  function post(fields) {
    const form = document.createElement("form");
    form.method = "post";
    form.action = `${base.origin}${prefix}/sso/login`;
    form.target = frame.name;
    form.hidden = true;
    for (const [name, value] of Object.entries(fields)) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(form);
    form.submit();
    form.remove();
  }

  function onMessage(event) {
    if (event.source !== frame.contentWindow || event.origin !== base.origin) return;
    const message = event.data;
    if (message?.source !== "label-studio-gate" || message.version !== 1 || isFetching) return;
    // Its load event comes next, unless it was faster.
    isTold = quiet === undefined;
    stopWaiting();
    if (FRESH_TOKEN_HELPS.includes(message.type) && renewed < renewals) {
      renewed += 1;
      load(pathOf(message) ?? current);
      return;
    }
    const { type, reason, request_id: requestId } = message;
    onChange(type === "signed_out" ? { kind: "signed_out" } : { kind: "failed", type, reason, requestId });
  }

  function pathOf({ path }) {
    return typeof path === "string" && new URL(path, base).origin === base.origin ? path : undefined;
  }

  // A page that loads without a message is Label Studio's: it is open.
  function onLoad() {
    if (isFetching || attempt === 0) return;
    if (isTold) {
      isTold = false;
      return;
    }
    stopWaiting();
    quiet = setTimeout(() => {
      quiet = undefined;
      onChange({ kind: "open" });
    }, 300);
    success = setTimeout(() => {
      renewed = 0;
    }, settled);
  }

  if (!frame.name) {
    frame.name = `label-studio-${Math.random().toString(36).slice(2)}`;
    // Chromium reads the attribute only when it creates the frame. The empty page in it can be renamed.
    frame.contentWindow.name = frame.name;
  }
  window.addEventListener("message", onMessage);
  frame.addEventListener("load", onLoad);
  return {
    open(path) {
      renewed = 0;
      load(path === undefined ? current : prefix + path);
    },
    close() {
      attempt += 1;
      isFetching = true;
      stopWaiting();
      window.removeEventListener("message", onMessage);
      frame.removeEventListener("load", onLoad);
    },
  };
}
