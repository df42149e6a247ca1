// For titles of tests that can't run everywhere: why one is skipped, or nothing where it runs.

export const onlyOnLinux: string = process.platform === 'linux' ? '' : ' (run on Linux only)'
export const notOnWindows: string = process.platform === 'win32' ? ' (not run on Windows)' : ''
export const notAsRoot: string =
  process.getuid?.() === 0 || process.platform === 'win32'
    ? ' (run where files can be locked, so not by root)'
    : ''
