// GeoJSON (RFC 7946): a mask's polygons as a Feature with a MultiPolygon. Coordinates are pixels with y down rather
// than degrees, as tools for images have them; a viewer of maps shows the picture upside down.

import { describe, isObject } from '../check.ts'
import { MaskError } from '../errors.ts'
import { expectPolygons, type Point, type Polygon, type Ring } from './polygon.ts'

/** A Feature of GeoJSON that is a mask's outline. */
export interface MaskFeature<Properties = Readonly<Record<string, unknown>>> {
  /** Always 'Feature'. */
  readonly type: 'Feature'
  /** Properties of the mask, such as a name or a score, as they were passed in. */
  readonly properties: Properties
  /** The polygons; every ring ends with its first point. */
  readonly geometry: {
    /** Always 'MultiPolygon'. */
    readonly type: 'MultiPolygon'
    /** Polygons, rings, points. */
    readonly coordinates: readonly (readonly (readonly Point[])[])[]
  }
}

/** Polygons as a Feature of GeoJSON. @param properties go into the Feature as they are */
export function toGeoJson<Properties extends object = Record<string, never>>(
  polygons: readonly Polygon[],
  properties?: Properties,
): MaskFeature<Properties> {
  expectPolygons('toGeoJson', polygons)
  const coordinates = polygons.map((polygon) => polygon.map(closed))
  return {
    type: 'Feature',
    properties: properties ?? ({} as Properties),
    geometry: { type: 'MultiPolygon', coordinates },
  }
}

/**
 * The polygons of GeoJSON, in pixels: of a Polygon, a MultiPolygon, a Feature or a collection of these.
 *
 * @throws MaskError if there is something else in it
 */
export function fromGeoJson(json: unknown): Polygon[] {
  const type = isObject(json) ? json['type'] : undefined
  if (isObject(json)) {
    if (type === 'Feature') return json['geometry'] === null ? [] : fromGeoJson(json['geometry'])
    if (type === 'FeatureCollection') return listOf(json, 'features').flatMap(fromGeoJson)
    if (type === 'GeometryCollection') return listOf(json, 'geometries').flatMap(fromGeoJson)
    if (type === 'Polygon' || type === 'MultiPolygon') {
      const coordinates = listOf(json, 'coordinates')
      const polygons: unknown = type === 'Polygon' ? [coordinates] : coordinates
      expectPolygons('fromGeoJson', polygons)
      return polygons.map((polygon) => polygon.map(opened))
    }
  }
  throw new MaskError(
    `fromGeoJson: the type is ${describe(isObject(json) ? type : json)}, expected a Polygon, a MultiPolygon, a Feature or a collection of them. ` +
      'Points and lines enclose nothing: leave them out.',
  )
}

function listOf(json: Record<string, unknown>, field: string): unknown[] {
  const list = json[field]
  if (Array.isArray(list)) return list
  throw new MaskError(`fromGeoJson: ${field} is ${describe(list)}, expected a list.`)
}

/** The ring with its first point at its end. */
function closed(ring: Ring): Ring {
  return isClosed(ring) ? ring : [...ring, ...ring.slice(0, 1)]
}

/** The ring without. */
export function opened(ring: Ring): Ring {
  return isClosed(ring) ? ring.slice(0, -1) : ring
}

function isClosed(ring: Ring): boolean {
  const [first, last] = [ring[0], ring.at(-1)]
  return ring.length > 3 && first?.[0] === last?.[0] && first?.[1] === last?.[1]
}
