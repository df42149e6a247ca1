// The environment in which a child process finds exactly one Vulkan driver, whatever the machine has.

import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const FOLDERS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']

/**
 * @param {string} adapter  llvmpipe, SwiftShader, or part of the name of a real one
 * @param {{ softwareDriver(): { ready: boolean, manifest?: string, reason?: string } }} engine
 * @returns variables for the child processes
 */
export function driverEnvironment(adapter, engine) {
  const common = { XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir() }
  if (/swiftshader/i.test(adapter)) {
    const driver = engine.softwareDriver()
    if (!driver.ready)
      throw new Error(`No SwiftShader: ${driver.reason}. Run npm install in the root folder.`)
    // onnxruntime-node brings a Dawn of its own, which takes the loader from the library path
    const libraries = [dirname(driver.manifest), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
    return { ...common, VK_ICD_FILENAMES: driver.manifest, LD_LIBRARY_PATH: libraries }
  }
  if (/llvmpipe|lavapipe/i.test(adapter)) {
    const manifests = FOLDERS.filter(existsSync).flatMap((folder) =>
      readdirSync(folder)
        .filter((file) => file.startsWith('lvp_icd'))
        .map((file) => join(folder, file)),
    )
    if (manifests.length === 0)
      throw new Error('No lavapipe: install Mesa 24 or newer (mesa-vulkan-drivers).')
    return { ...common, VK_ICD_FILENAMES: manifests[0] }
  }
  return common
}
