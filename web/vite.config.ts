import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Where `npm run dev` finds an edge; `./scripts/up` prints the same address.
const EDGE = "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  server: {
    proxy: { "/api": EDGE, "/ws": { target: EDGE, ws: true } },
  },
  build: {
    // The page's policy allows no inline script, style or font: everything stays a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
