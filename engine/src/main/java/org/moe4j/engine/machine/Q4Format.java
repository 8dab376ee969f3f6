package org.moe4j.engine.machine;

import org.moe4j.engine.machine.Operand.Address;
import org.moe4j.engine.machine.Operand.Zmm;

/**
 * 4-bit weights with a scale for each 32 columns (Q4_0). A block is 32 columns: 32 half-precision
 * scales w, then for each sixteen of rows four times 16 ints, one int a row; int v has the codes of
 * columns 4 v to 4 v + 3 in the low halves of its bytes, those of columns 16 + 4 v and following in
 * the high halves.
 *
 * <p>Rule, blocks in order: sum = fma((float) dot, w s, sum), where dot is the integer sum of (code
 * - 8) times the activation's code, s its scale, and w s is rounded.
 */
final class Q4Format implements Format {
  private static final int SCALES = 64;
  private static final int SIXTEEN = 256;

  @Override
  public int registers() {
    return 3;
  }

  @Override
  public void constants(Assembler a, Tile tile) {
    nibbleMask(a, tile);
  }

  @Override
  public void block(Assembler a, Tile tile) {
    for (int i = 0; i < tile.sixteens(); i++) {
      for (int t = 0; t < tile.tokens(); t++) {
        a.vpbroadcastd(tile.dot(t), Tile.record(t, ByteRecord.MINUS_8_SUM));
      }
      nibbles(a, tile, tile.block(i, SCALES + tile.place(i) * SIXTEEN), 0);
      Zmm scale = tile.free(0);
      a.vcvtph2ps(scale, tile.block(i, 32 * tile.place(i)));
      scaled(a, tile, i, scale, 0);
    }
  }

  /** Register 2: ones in the low half of every byte. */
  static void nibbleMask(Assembler a, Tile tile) {
    Q4KFormat.broadcast(a, tile.free(2), 0x0f0f0f0f);
  }

  /** To the integer products adds those of 32 columns of 4-bit codes in four vectors. */
  static void nibbles(Assembler a, Tile tile, Address codes, int record) {
    Zmm low = tile.free(0);
    Zmm high = tile.free(1);
    Zmm mask = tile.free(2);
    for (int v = 0; v < 4; v++) {
      a.vmovups(low, codes.plus(64 * v));
      a.vpsrld(high, low, 4);
      a.vpandd(low, low, mask);
      a.vpandd(high, high, mask);
      for (int t = 0; t < tile.tokens(); t++) {
        a.vpdpbusd(tile.dot(t), low, Tile.record(t, record + 4 * v).each());
      }
      for (int t = 0; t < tile.tokens(); t++) {
        a.vpdpbusd(tile.dot(t), high, Tile.record(t, record + 16 + 4 * v).each());
      }
    }
  }

  /** sum = fma((float) dot, scale s, sum) for all tokens; uses free register 1. */
  static void scaled(Assembler a, Tile tile, int sixteen, Zmm scale, int record) {
    Zmm product = tile.free(1);
    for (int t = 0; t < tile.tokens(); t++) {
      a.vcvtdq2ps(tile.dot(t), tile.dot(t));
      a.vmulps(product, scale, Tile.record(t, record + ByteRecord.SCALE).each());
      a.vfmadd231ps(tile.sum(sixteen, t), tile.dot(t), product);
    }
  }
}
