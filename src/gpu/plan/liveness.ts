// Memory for a plan: assigns each intermediate to a slot.
//
// Two tensors that are never alive together may share a slot. We walk the dispatches once to find each
// tensor's first write and last read, then place the largest first (greedy by size, Pisarchyk & Lee
// 2020). A slot is a GPUBuffer of its own: WebGPU won't bind one buffer as read and write in the same
// dispatch, even in disjoint ranges. The one exception is asked for by the op: an in-place dispatch
// binds a single buffer, as write only, and so joins input and output into one tenant.

import { entryOf, expectDefined } from '../../check.ts'
import type { RecordedDispatch, Storage } from '../recorder.ts'

interface Tenant {
  bytes: number
  first: number
  last: number
  label: string
}

/** The memory of a plan's intermediates: slots, each for several that are never alive together. */
export interface MemoryLayout {
  /** Bytes of each slot. */
  readonly slots: readonly number[]
  /** The index in `slots` of each intermediate; outputs of the plan are not in it. */
  readonly slotOf: ReadonlyMap<Storage, number>
  /** The intermediates of each slot. */
  readonly tenantsOf: ReadonlyMap<number, readonly Storage[]>
  /** Dispatches (by index) that run in place. */
  readonly inPlace: ReadonlySet<number>
  /** The largest intermediates, for messages. */
  readonly tenants: readonly { readonly label: string; readonly bytes: number }[]
}

/**
 * @param dispatches  in order
 * @param outputs     storages that must survive the run; they get no slot here
 */
export function layOut(dispatches: readonly RecordedDispatch[], outputs: ReadonlySet<Storage>): MemoryLayout {
  // 1. First and last use of every intermediate
  const tenantOf = new Map<Storage, Tenant>()
  const lastRead = new Map<Storage, number>()
  dispatches.forEach((dispatch, index) => {
    for (const storage of [...Object.values(dispatch.reads), ...Object.values(dispatch.writes)]) {
      if (storage?.kind !== 'intermediate') continue
      lastRead.set(storage, index)
      if (outputs.has(storage)) continue
      const tenant = tenantOf.get(storage)
      if (tenant) tenant.last = index
      else {
        const label = `${dispatch.scope || 'plan'}: ${dispatch.kernel.name}`
        tenantOf.set(storage, { bytes: storage.bytes, first: index, last: index, label })
      }
    }
  })

  // 2. Join the two ends of in-place dispatches: the input dies here and the output begins here
  const inPlace = new Set<number>()
  dispatches.forEach(({ inPlace: wish, reads, writes }, index) => {
    if (!wish) return
    const from = reads[wish.read]
    const to = writes[wish.write]
    const input = from && tenantOf.get(from)
    const output = to && tenantOf.get(to)
    if (!input || !output || input === output || input.bytes !== output.bytes) return
    const others = Object.entries(reads).some(([name, storage]) => name !== wish.read && storage === from)
    if (others || lastRead.get(from) !== index || output.first !== index) return
    input.last = output.last
    for (const [storage, tenant] of tenantOf) if (tenant === output) tenantOf.set(storage, input)
    inPlace.add(index)
  })

  // 3. Largest first, each into the first slot that is free for its whole life
  const tenants = [...new Set(tenantOf.values())].sort((a, b) => b.bytes - a.bytes || a.first - b.first)
  const slots: { bytes: number; taken: Tenant[] }[] = []
  const slotIndex = new Map<Tenant, number>()
  for (const tenant of tenants) {
    let index = slots.findIndex(({ taken }) =>
      taken.every((t) => t.last < tenant.first || tenant.last < t.first),
    )
    if (index < 0) index = slots.push({ bytes: tenant.bytes, taken: [] }) - 1
    entryOf(slots, index).taken.push(tenant)
    slotIndex.set(tenant, index)
  }

  const slotOf = new Map<Storage, number>()
  const tenantsOf = new Map<number, Storage[]>(slots.map((_, slot) => [slot, []]))
  for (const [storage, tenant] of tenantOf) {
    const slot = expectDefined(slotIndex.get(tenant), 'slotIndex')
    slotOf.set(storage, slot)
    tenantsOf.get(slot)?.push(storage)
  }
  return { slots: slots.map((s) => s.bytes), slotOf, tenantsOf, inPlace, tenants: tenants.slice(0, 5) }
}
