import { useCallback, useEffect, useRef, useState } from "react";
import { embedLabelStudio } from "../label-studio-frame.js";

/**
 * Label Studio in a frame, with fresh tokens when they are needed. Give `frame` to an iframe without src.
 *
 * @param {{labelStudio: string, getToken: () => Promise<string | null>, path?: string}} options as of embedLabelStudio
 */
export function useLabelStudio({ labelStudio, getToken, path = "/projects/" }) {
  const frame = useRef(null);
  const embedded = useRef(null);
  const token = useRef(getToken);
  const [state, setState] = useState({ kind: "opening" });

  // The latest function, without opening the frame again for each.
  useEffect(() => {
    token.current = getToken;
  });

  useEffect(() => {
    embedded.current = embedLabelStudio(frame.current, {
      labelStudio,
      path,
      getToken: () => token.current(),
      onChange: setState,
    });
    embedded.current.open();
    return () => embedded.current.close();
  }, [labelStudio, path]);

  const open = useCallback((to) => embedded.current?.open(to), []);
  return { frame, state, open };
}
