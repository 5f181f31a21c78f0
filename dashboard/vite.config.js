import { defineConfig } from "vite";

const here = (path) => new URL(path, import.meta.url).pathname;

// The page is served by the node itself under a strict Content-Security-Policy: nothing inline, nothing from elsewhere.
export default defineConfig({
  base: "./",
  resolve: {
    alias: [
      { find: /^@folkmoot\/client$/, replacement: here("../clients/typescript/src/index.ts") },
      { find: /^@folkmoot\/client\/ledger$/, replacement: here("../clients/typescript/src/ledger/index.ts") },
      // One copy of these, though the client's sources are outside of this folder.
      { find: /^@noble\/(.*)$/, replacement: here("./node_modules/@noble/$1") },
    ],
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    reportCompressedSize: true,
  },
});
