// Bundles the editor into the static files of the console, with the licences of what it contains.
import { build } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const served = `${here}../../src/console/static/console/vendor/editor.min.js`;
const [file = served] = process.argv.slice(2);
const found = await build({
  absWorkingDir: here,
  entryPoints: ["src/index.ts"],
  outfile: file,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  banner: { js: "/*! Carillon editor, Apache-2.0; CodeMirror and Lezer, MIT: see editor.LICENSE.txt */" },
});
const names = Object.keys(found.metafile.inputs)
  .map((each) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(each)?.[1])
  .filter(Boolean);
const parts = [];
for (const name of [...new Set(names)].sort()) {
  const { version, license } = JSON.parse(await readFile(`${here}node_modules/${name}/package.json`, "utf8"));
  const text = await readFile(`${here}node_modules/${name}/LICENSE`, "utf8");
  parts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(file.replace(/\.min\.js$/, ".LICENSE.txt"), parts.join(`\n${"-".repeat(72)}\n\n`));
