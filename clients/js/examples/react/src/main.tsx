// The application: one provider, and the board in it.

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RealityProvider } from "reality-sync/react";
import { Board } from "./board.tsx";
import "./board.css";

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <RealityProvider>
      <Board />
    </RealityProvider>
  </StrictMode>,
);
