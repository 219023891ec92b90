// Bundles the component. `--static [file]` writes the file that the service itself serves.
import { build, transform } from "esbuild";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const served = `${here}../../src/notifications/static/carillon/inbox.js`;
const styles = {
  name: "styles",
  setup(bundle) {
    bundle.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const found = await transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: found.code.trim(), loader: "text" };
    });
  },
};
const shared = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  plugins: [styles],
  banner: { js: "/*! Carillon inbox, Apache-2.0 */" },
};
const [option, file] = process.argv.slice(2);
if (option === "--static") {
  await build({ ...shared, entryPoints: ["src/index.ts"], outfile: file ?? served });
} else {
  await build({ ...shared, entryPoints: ["src/index.ts"], outfile: "dist/inbox.js" });
  await build({ ...shared, entryPoints: ["src/headless.ts"], outfile: "dist/headless.js" });
}
