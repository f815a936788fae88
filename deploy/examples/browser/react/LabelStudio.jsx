import { useEffect, useState } from "react";

/** Label Studio in a frame, for the user who is signed in to the application. */
export function LabelStudio({ path = "/projects/" }) {
  const [state, setState] = useState({ kind: "loading" });

  useEffect(() => {
    const gone = new AbortController();
    async function open() {
      try {
        const response = await fetch("/api/label-studio-token", { cache: "no-store", signal: gone.signal });
        if (!response.ok) throw new Error(response.status === 401 ? "Please sign in." : `Error ${response.status}`);
        const { token, url } = await response.json();
        setState({ kind: "open", address: `${url}${path}?token=${encodeURIComponent(token)}` });
      } catch (error) {
        if (!gone.signal.aborted) setState({ kind: "failed", message: error.message });
      }
    }
    open();
    return () => gone.abort();
  }, [path]);

  if (state.kind === "loading") return <p>Opening Label Studio…</p>;
  if (state.kind === "failed") return <p role="alert">{state.message}</p>;
  return (
    <iframe
      src={state.address}
      title="Label Studio"
      allow="fullscreen"
      style={{ width: "100%", height: "100vh", border: "none" }}
    />
  );
}
