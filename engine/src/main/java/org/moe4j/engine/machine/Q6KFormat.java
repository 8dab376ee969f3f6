package org.moe4j.engine.machine;

import org.moe4j.engine.machine.Operand.Address;
import org.moe4j.engine.machine.Operand.Zmm;

/**
 * 6-bit weights in blocks of 256 columns, 16 parts of 16 with an 8-bit scale each (Q6_K). A block
 * is the 32 half-precision factors d of scales; for each sixteen of rows the scales, of each part
 * 16 bytes; for each sixteen the low 4 bits of 32 columns at a time as in {@link Q4Format}; for
 * each sixteen the high 2 bits of 32 columns at a time, two times 16 ints: in byte k of int h bits
 * 2 v and 2 v + 1 are of column 16 h + 4 v + k.
 *
 * <p>Rule, 32 columns at a time in order: sum = fma((float) total, d s, sum), where total is the
 * integer scale[2 j] dot[2 j] + scale[2 j + 1] dot[2 j + 1], dot the integer sum of (code - 32)
 * times the activation's codes, s its scale, and d s is rounded.
 */
final class Q6KFormat implements Format {
  private static final int SCALES = 64;
  private static final int LOW = SCALES + 512;
  private static final int HIGH = LOW + 4096;
  private static final int COLUMNS = 8;

  @Override
  public int registers() {
    return 8;
  }

  @Override
  public void constants(Assembler a, Tile tile) {
    Q4Format.nibbleMask(a, tile);
    Q4KFormat.broadcast(a, tile.free(3), 0x30303030);
  }

  @Override
  public void block(Assembler a, Tile tile) {
    for (int i = 0; i < tile.sixteens(); i++) {
      for (int j = 0; j < COLUMNS; j++) {
        first(a, tile, i, j);
        second(a, tile, i, j);
        a.vcvtph2ps(tile.free(0), tile.block(i, 32 * tile.place(i)));
        Q4Format.scaled(a, tile, i, tile.free(0), j * ByteRecord.BYTES);
      }
    }
  }

  private static void first(Assembler a, Tile tile, int i, int j) {
    int record = j * ByteRecord.BYTES;
    unpack(a, tile, i, j, 0);
    a.vpmovsxbd(tile.free(0), scale(tile, i, 2 * j));
    for (int t = 0; t < tile.tokens(); t++) {
      a.vpbroadcastd(tile.dot(t), Tile.record(t, record + ByteRecord.MINUS_32_FIRST));
      products(a, tile, tile.dot(t), t, record);
    }
  }

  private static void second(Assembler a, Tile tile, int i, int j) {
    int record = j * ByteRecord.BYTES;
    Zmm dot = tile.free(1);
    unpack(a, tile, i, j, 1);
    a.vpmovsxbd(tile.free(0), scale(tile, i, 2 * j + 1));
    for (int t = 0; t < tile.tokens(); t++) {
      a.vpslld(dot, Tile.record(t, record + ByteRecord.MINUS_8_SUM).each(), 2);
      a.vpsubd(dot, dot, Tile.record(t, record + ByteRecord.MINUS_32_FIRST).each());
      products(a, tile, dot, t, record + 16);
      a.vpaddd(tile.dot(t), tile.dot(t), dot);
    }
  }

  private static Address scale(Tile tile, int i, int part) {
    return tile.block(i, SCALES + tile.place(i) * 256 + part * 16);
  }

  /** The dot's products with 16 columns, then times the scale in register 0. */
  private static void products(Assembler a, Tile tile, Zmm dot, int t, int codes) {
    for (int v = 0; v < 4; v++) {
      a.vpdpbusd(dot, tile.free(4 + v), Tile.record(t, codes + 4 * v).each());
    }
    a.vpmulld(dot, dot, tile.free(0));
  }

  /** Registers 4 to 7: codes of 16 columns, 0 to 63. */
  private static void unpack(Assembler a, Tile tile, int i, int j, int half) {
    Zmm nibbles = tile.free(2);
    Zmm upper = tile.free(3);
    Zmm bits = tile.free(1);
    Address high = tile.block(i, HIGH + tile.place(i) * 1024 + j * 128 + half * 64);
    for (int v = 0; v < 4; v++) {
      Zmm code = tile.free(4 + v);
      Address low = tile.block(i, LOW + tile.place(i) * 2048 + j * 256 + v * 64);
      if (half == 0) {
        a.vpandd(code, nibbles, low);
      } else {
        a.vpsrld(code, low, 4);
        a.vpandd(code, code, nibbles);
      }
      if (v < 2) {
        a.vpslld(bits, high, 4 - 2 * v);
      } else {
        a.vpsrld(bits, high, 2 * v - 4);
      }
      a.vpandd(bits, bits, upper);
      a.vpord(code, code, bits);
    }
  }
}
