package org.moe4j.engine.machine;

import org.moe4j.engine.machine.Operand.Zmm;

/**
 * 8-bit weights with a scale for each 32 columns (Q8_0). A block is 32 columns: 32 half-precision
 * scales w, then for each sixteen of rows eight times 16 ints, one int a row; int v has columns 4 v
 * to 4 v + 3, each plus 128.
 *
 * <p>Rule, blocks in order: sum = fma((float) dot, w s, sum), where dot is the integer sum of
 * weights times the activation's codes, s its scale, and w s is rounded.
 */
final class Q8Format implements Format {
  private static final int SCALES = 64;
  private static final int SIXTEEN = 512;

  @Override
  public int registers() {
    return 2;
  }

  @Override
  public void constants(Assembler a, Tile tile) {
    // none
  }

  @Override
  public void block(Assembler a, Tile tile) {
    Zmm weights = tile.free(0);
    for (int i = 0; i < tile.sixteens(); i++) {
      for (int t = 0; t < tile.tokens(); t++) {
        a.vpslld(tile.dot(t), Tile.record(t, ByteRecord.MINUS_8_SUM).each(), 4); // times 16
      }
      for (int v = 0; v < 8; v++) {
        a.vmovups(weights, tile.block(i, SCALES + tile.place(i) * SIXTEEN + 64 * v));
        for (int t = 0; t < tile.tokens(); t++) {
          a.vpdpbusd(tile.dot(t), weights, Tile.record(t, 4 * v).each());
        }
      }
      Zmm scale = tile.free(0);
      a.vcvtph2ps(scale, tile.block(i, 32 * tile.place(i)));
      Q4Format.scaled(a, tile, i, scale, 0);
    }
  }
}
