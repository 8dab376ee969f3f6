package org.moe4j.engine.machine;

import org.moe4j.engine.machine.Operand.Zmm;

/**
 * 4-bit weights in blocks of 256 columns, eight parts of 32 with a 6-bit scale and a 6-bit minimum
 * each (Q4_K). A block is the 32 half-precision factors d of scales, the 32 factors e of minimums,
 * for each sixteen of rows three times 16 ints with the scales and minimums as stored, then for
 * each sixteen the codes of the eight parts, each as in {@link Q4Format}.
 *
 * <p>Rule, blocks and their parts j in order: first sum = fma((float) dot, (d scale[j]) s, sum),
 * then sum = fma(-(e minimum[j]), S, sum). There dot is the integer sum of codes, 0 to 15, times
 * the activation's codes, s its scale, S the rounded product of s and the sum of its codes. The
 * products d scale[j] and e minimum[j] are exact, (d scale[j]) s is rounded.
 */
final class Q4KFormat implements Format {
  private static final int PARTS = 8;
  private static final int MINIMUM_FACTORS = 64;
  private static final int SCALES = 128;
  private static final int CODES = 512;

  @Override
  public int registers() {
    return 7;
  }

  @Override
  public void constants(Assembler a, Tile tile) {
    Q4Format.nibbleMask(a, tile);
  }

  @Override
  public void block(Assembler a, Tile tile) {
    for (int i = 0; i < tile.sixteens(); i++) {
      scales(a, tile, i);
      for (int part = 0; part < PARTS; part++) {
        part(a, tile, i, part);
      }
    }
  }

  /** Registers 3 to 6: scales 0 to 3, minimums 0 to 3, scales 4 to 7, minimums 4 to 7, in bytes. */
  private static void scales(Assembler a, Tile tile, int i) {
    Zmm constant = tile.free(0);
    Zmm upper = tile.free(1);
    Zmm nibbles = tile.free(2);
    int at = SCALES + tile.place(i) * 192;
    a.vmovups(tile.free(3), tile.block(i, at));
    a.vmovups(tile.free(4), tile.block(i, at + 64));
    a.vmovups(tile.free(5), tile.block(i, at + 128));
    a.vpsrld(tile.free(6), tile.free(5), 4);
    broadcast(a, constant, 0x30303030);
    for (int k = 0; k < 2; k++) {
      a.vpandd(tile.free(5 + k), tile.free(5 + k), nibbles);
      a.vpsrld(upper, tile.free(3 + k), 2);
      a.vpandd(upper, upper, constant);
      a.vpord(tile.free(5 + k), tile.free(5 + k), upper);
    }
    broadcast(a, constant, 0x3f3f3f3f);
    for (int k = 0; k < 2; k++) {
      a.vpandd(tile.free(3 + k), tile.free(3 + k), constant);
    }
  }

  static void broadcast(Assembler a, Zmm to, int value) {
    a.mov(Tile.SCRATCH, value);
    a.vpbroadcastd(to, Tile.SCRATCH);
  }

  private static void part(Assembler a, Tile tile, int i, int part) {
    int record = part * ByteRecord.BYTES;
    for (int t = 0; t < tile.tokens(); t++) {
      a.vpxord(tile.dot(t), tile.dot(t), tile.dot(t));
    }
    Q4Format.nibbles(a, tile, tile.block(i, CODES + tile.place(i) * 2048 + part * 256), record);
    Zmm factor = tile.free(0);
    factor(a, tile, i, tile.free(3 + part / 4 * 2), part, 0);
    Q4Format.scaled(a, tile, i, factor, record);
    factor(a, tile, i, tile.free(4 + part / 4 * 2), part, MINIMUM_FACTORS);
    for (int t = 0; t < tile.tokens(); t++) {
      a.vfnmadd231ps(tile.sum(i, t), factor, Tile.record(t, record + ByteRecord.SCALED_SUM).each());
    }
  }

  /** Register 0: a byte of each int times the factors that lie {@code from} the beginning. */
  private static void factor(Assembler a, Tile tile, int i, Zmm bytes, int part, int from) {
    Zmm to = tile.free(0);
    a.vpslld(to, bytes, 24 - 8 * (part % 4));
    a.vpsrld(to, to, 24);
    a.vcvtdq2ps(to, to);
    a.vcvtph2ps(tile.free(1), tile.block(i, from + 32 * tile.place(i)));
    a.vmulps(to, to, tile.free(1));
  }
}
