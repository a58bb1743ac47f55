import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { namePattern } from "./tests/filter";

const wanted = namePattern();

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    // The content security policy allows files of our own and nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // `npm run dev` beside an approver: HOLDPOINT_APPROVER=https://localhost:7444
    proxy: {
      "/api": {
        target: process.env["HOLDPOINT_APPROVER"] ?? "https://localhost:7444",
        secure: false,
        changeOrigin: true,
      },
    },
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
    reporters: ["./tests/report.ts"],
    passWithNoTests: true,
    ...(wanted ? { testNamePattern: wanted } : {}),
  },
});
