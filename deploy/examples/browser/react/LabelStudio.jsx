import { useLabelStudio } from "./useLabelStudio.js";

async function getToken() {
  const response = await fetch("/api/label-studio-token", { cache: "no-store" });
  if (!response.ok) throw new Error(response.status === 401 ? "Please sign in." : `Error ${response.status}`);
  return (await response.json()).token;
}

/** Label Studio in a frame, for the user who is signed in to the application. */
export function LabelStudio({ url, path }) {
  const { frame, state, open } = useLabelStudio({ labelStudio: url, getToken, path });
  // The gate's own page says what is wrong, in the user's language.
  const isShown = state.kind !== "opening" && state.type !== "no_token";
  return (
    <>
      {state.kind === "opening" && <p role="status">Opening Label Studio…</p>}
      {state.type === "no_token" && <p role="alert">{state.error.message}</p>}
      {(state.kind === "failed" || state.kind === "signed_out") && (
        <button onClick={() => open()}>Open Label Studio again</button>
      )}
      <iframe
        ref={frame}
        title="Label Studio"
        allow="fullscreen"
        data-state={state.kind}
        style={{ width: "100%", height: "100vh", border: "none", visibility: isShown ? "visible" : "hidden" }}
      />
    </>
  );
}
