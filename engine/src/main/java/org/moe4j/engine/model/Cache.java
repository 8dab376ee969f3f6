package org.moe4j.engine.model;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.engine.kernel.Attention;

/**
 * Keys and values of a sequence in half precision, in pages of {@link Attention#PAGE} positions
 * that come as they are needed. The layout is {@link Attention}'s.
 */
public final class Cache {
  private final Shape shape;
  private final int half;
  private final List<List<int[]>> keys = new ArrayList<>();
  private final List<List<int[]>> values = new ArrayList<>();
  private int length;

  /** Of no positions yet. */
  public Cache(Shape shape) {
    this.shape = shape;
    this.half = Attention.half(shape.attention().valueSize());
    for (int i = 0; i < shape.layers(); i++) {
      keys.add(new ArrayList<>());
      values.add(new ArrayList<>());
    }
  }

  /** Positions that are held. */
  public int length() {
    return length;
  }

  /** Forgets position {@code positions} and all after it. */
  public void truncate(int positions) {
    length = Math.min(length, positions);
  }

  void grow(int positions) {
    length = positions;
    int pages = Math.ceilDiv(positions, Attention.PAGE);
    for (int i = 0; i < shape.layers(); i++) {
      while (keys.get(i).size() < pages) {
        keys.get(i).add(new int[shape.attention().keyHeads() * keyInts()]);
        values.get(i).add(new int[Attention.PAGE * valueStride()]);
      }
    }
  }

  /** Ints of a page of keys of one head. */
  int keyInts() {
    return shape.attention().keySize() * 32;
  }

  /** Ints of half a value. */
  int half() {
    return half;
  }

  /** Ints of all values of a position. */
  int valueStride() {
    return shape.attention().keyHeads() * half;
  }

  int[] keys(int layer, int page) {
    return keys.get(layer).get(page);
  }

  int[] values(int layer, int page) {
    return values.get(layer).get(page);
  }

  /** Keeps keys from index {@code kAt} and values from index {@code vAt} on. */
  void store(int layer, int position, float[] k, int kAt, float[] v, int vAt) {
    int page = position / Attention.PAGE;
    int in = position % Attention.PAGE;
    int[] keyPage = keys(layer, page);
    int[] valuePage = values(layer, page);
    int keySize = shape.attention().keySize();
    int valueSize = shape.attention().valueSize();
    for (int h = 0; h < shape.attention().keyHeads(); h++) {
      for (int d = 0; d < keySize; d++) {
        put(keyPage, h * keyInts() + d * 32 + in % 32, in >= 32, k[kAt + h * keySize + d]);
      }
      for (int d = 0; d < valueSize; d++) {
        int at = in * valueStride() + h * half + d % half;
        put(valuePage, at, d >= half, v[vAt + h * valueSize + d]);
      }
    }
  }

  private static void put(int[] page, int at, boolean high, float x) {
    int bits = Float.floatToFloat16(x) & 0xffff;
    page[at] = high ? (page[at] & 0xffff) | (bits << 16) : (page[at] & 0xffff0000) | bits;
  }
}
