import { createRoot } from "react-dom/client";
import { LabelStudio } from "./LabelStudio.jsx";

createRoot(document.getElementById("root")).render(<LabelStudio />);
