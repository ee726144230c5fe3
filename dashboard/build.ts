/**
 * `npm run build:dashboard [-- --size]`: bundles the page into `dashboard/dist`, minified. The
 * manager serves these files as they are.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const here = import.meta.dirname
const out = join(here, 'dist')

rmSync(out, { recursive: true, force: true })
mkdirSync(out)
await build({
  entryPoints: [
    { in: join(here, 'main.tsx'), out: 'app' },
    { in: join(here, 'style.css'), out: 'app' },
  ],
  outdir: out,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
})
for (const file of ['index.html', 'icon.svg']) copyFileSync(join(here, file), join(out, file))

if (process.argv.includes('--size')) {
  for (const file of ['app.js', 'app.css', 'index.html'])
    process.stdout.write(
      `${file.padEnd(12)}${gzipSync(readFileSync(join(out, file))).length} bytes gzipped\n`,
    )
}
