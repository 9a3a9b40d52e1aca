import { defineConfig } from "vite";

/** Where `npm run dev` finds the service. */
const service = process.env["EMBEDSTORE_SERVICE"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 2000,
    reportCompressedSize: false,
    license: { fileName: "licenses.md" },
    rollupOptions: { input: ["index.html", "docs.html", "bundle.html"] },
  },
  worker: { format: "es" },
  server: { proxy: { "/collections": service, "/jobs": service, "/openapi.json": service } },
});
