/** The environment of a child: what programs commonly need, and what its task asks for. */
import type { ProgramEnv } from '../core/isolate.ts'

/** What programs find each other, their home, their language and their certificates by. */
const common: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'TMP',
  'TEMP',
  'NODE_ENV',
  'NODE_OPTIONS',
  'NODE_EXTRA_CA_CERTS',
  'NODE_COMPILE_CACHE',
  'NODE_DISABLE_COMPILE_CACHE',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  // Without these no program of Windows starts.
  'SYSTEMROOT',
  'SYSTEMDRIVE',
  'WINDIR',
  'COMSPEC',
  'PATHEXT',
  'USERPROFILE',
  'APPDATA',
  'LOCALAPPDATA',
])

/** Makes the environment that a task asks for, from that of this process. */
export function childEnv(asked: ProgramEnv): Record<string, string> {
  const given = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  if (asked === 'all') return Object.fromEntries(given)
  const names = Array.isArray(asked) ? (asked as readonly string[]) : []
  const passed = given.filter(
    ([name]) => common.has(name.toUpperCase()) || name.startsWith('LC_') || names.includes(name),
  )
  const set = Array.isArray(asked) ? {} : (asked as Readonly<Record<string, string>>)
  return { ...Object.fromEntries(passed), ...set }
}
