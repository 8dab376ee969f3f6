package org.moe4j.engine.machine;

import java.util.List;

/**
 * A function of C's calling convention on x86-64 Linux: panels of 64 rows of weights that follow
 * one another times a fixed number of tokens.
 *
 * <p>Arguments: the address of the first panel, the bytes of a row of activations, the address of
 * an array of the addresses of the tokens' rows, the address of the sums (of each panel 64 floats a
 * token), the address behind the last panel. Passes run over all blocks of a panel, each for some
 * sixteens of rows.
 */
final class TileProgram {
  private static final List<Gpr> SAVED =
      List.of(Gpr.RBX, Gpr.RBP, Gpr.R12, Gpr.R13, Gpr.R14, Gpr.R15);

  private TileProgram() {}

  static void write(Assembler a, WeightFormat format, int tokens) {
    SAVED.forEach(a::push);
    a.mov(Tile.BLOCKS[1], Tile.BLOCKS[0]);
    a.add(Tile.BLOCKS[1], format.blockBytes());
    a.mov(Tile.PANELS_END, Gpr.R8);
    a.mov(Tile.SCRATCH, Gpr.RDX);
    for (int t = 0; t < tokens; t++) {
      a.mov(Tile.token(t), Operand.at(Tile.SCRATCH, 8 * t));
    }
    int sixteens = Tile.sixteens(tokens, Format.of(format).registers());
    int panel = a.here();
    for (int first = 0; first < Tile.PANEL; first += sixteens) {
      pass(a, format, new Tile(tokens, sixteens, first));
    }
    a.add(Tile.OUT, 64 * Tile.PANEL * tokens);
    a.cmp(Tile.BLOCKS[0], Tile.PANELS_END); // where each pass leaves it, the next panel begins
    a.jb(panel);
    a.vzeroupper();
    SAVED.reversed().forEach(a::pop);
    a.ret();
  }

  private static void pass(Assembler a, WeightFormat weights, Tile tile) {
    Format format = Format.of(weights);
    for (int i = 0; i < tile.sixteens(); i++) {
      for (int t = 0; t < tile.tokens(); t++) {
        a.vpxord(tile.sum(i, t), tile.sum(i, t), tile.sum(i, t));
      }
    }
    format.constants(a, tile);
    a.mov(Tile.OFFSET, 0);
    int loop = a.here();
    format.block(a, tile);
    for (int half = tile.first() / 2; half < (tile.first() + tile.sixteens()) / 2; half++) {
      a.add(Tile.BLOCKS[half], 2 * weights.blockBytes());
    }
    a.add(Tile.OFFSET, weights.blockColumns() / 32 * ByteRecord.BYTES);
    a.cmp(Tile.OFFSET, Tile.END);
    a.jb(loop);
    for (int i = 0; i < tile.sixteens(); i++) {
      for (int t = 0; t < tile.tokens(); t++) {
        int out = (t * Tile.PANEL + tile.first() + i) * 64;
        a.vmovups(Operand.at(Tile.OUT, out), tile.sum(i, t));
      }
    }
  }
}
