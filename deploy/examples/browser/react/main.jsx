import { createRoot } from "react-dom/client";
import { LabelStudio } from "./LabelStudio.jsx";

const root = document.getElementById("root");
createRoot(root).render(<LabelStudio url={root.dataset.labelStudio} />);
