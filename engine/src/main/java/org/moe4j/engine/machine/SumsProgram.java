package org.moe4j.engine.machine;

import static org.moe4j.engine.machine.Operand.at;
import static org.moe4j.engine.machine.Operand.zmm;

import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.machine.Operand.Address;
import org.moe4j.engine.machine.Operand.Zmm;

/**
 * A function of C's calling convention on x86-64 Linux that adds weighted rows of half-precision
 * numbers to sums of floats, for several rows of weights at once: what is loaded and converted of a
 * row then serves them all.
 *
 * <p>Rule, rows in order: sum = fma(number, weight, sum).
 *
 * <p>Arguments: the first row's address, the address behind the last row, the bytes from a row to
 * the next, the address of the first row's weight, the bytes from a row of weights to the next, the
 * address of the sums; on the stack the bytes from a row of sums to the next, the bytes of numbers
 * to sum of each row, and the bytes from a row to what will be read later.
 *
 * @param weights rows of them, 1 to {@value #MOST}
 * @param vectors of 16 numbers that a pass over the rows takes
 */
record SumsProgram(int weights, int vectors) {
  /** Rows of weights that a call takes at most. */
  static final int MOST = 8;

  private static final List<Gpr> SAVED =
      List.of(Gpr.RBX, Gpr.RBP, Gpr.R12, Gpr.R13, Gpr.R14, Gpr.R15);

  private static final Gpr FIRST = Gpr.RDI;
  private static final Gpr END = Gpr.RSI;
  private static final Gpr ROW_BYTES = Gpr.RDX;
  private static final Gpr WEIGHTS = Gpr.RCX;
  private static final Gpr WEIGHTS_BYTES = Gpr.R8;
  private static final Gpr SUMS = Gpr.R9;
  private static final Gpr SUMS_BYTES = Gpr.RBP;
  private static final Gpr COLUMNS_END = Gpr.R10;
  private static final Gpr LATER = Gpr.R15;

  private static final Gpr ROW = Gpr.R11;
  private static final Gpr NEAR = Gpr.RAX;
  private static final Gpr FAR = Gpr.RBX;
  private static final Gpr TWICE = Gpr.R12;
  private static final Gpr THRICE = Gpr.R13;
  private static final Gpr PLACE = Gpr.R14;

  /** The programs of all sizes, by {@link #index}. */
  static List<SumsProgram> all() {
    return IntStream.range(0, 2 * MOST)
        .mapToObj(i -> new SumsProgram(i / 2 + 1, i % 2 == 0 || i / 2 + 1 > 6 ? 2 : 4))
        .toList();
  }

  /**
   * Which of {@link #all} to call: two vectors at a time, or four where there are registers for
   * their sums and rows are whole fours.
   *
   * @param columns a multiple of 32
   */
  static int index(int weights, int columns) {
    return 2 * (weights - 1) + (columns % 64 == 0 ? 1 : 0);
  }

  void write(Assembler a) {
    SAVED.forEach(a::push);
    int behind = 8 * (SAVED.size() + 1);
    a.mov(SUMS_BYTES, at(Gpr.RSP, behind));
    a.mov(COLUMNS_END, at(Gpr.RSP, behind + 8));
    a.add(COLUMNS_END, FIRST);
    a.mov(LATER, at(Gpr.RSP, behind + 16));
    a.mov(TWICE, WEIGHTS_BYTES);
    a.add(TWICE, WEIGHTS_BYTES);
    a.mov(THRICE, TWICE);
    a.add(THRICE, WEIGHTS_BYTES);
    int columns = a.here();
    sums(a, true);
    rows(a);
    sums(a, false);
    a.add(FIRST, 32 * vectors);
    a.add(END, 32 * vectors);
    a.add(SUMS, 64 * vectors);
    a.cmp(FIRST, COLUMNS_END);
    a.jb(columns);
    a.vzeroupper();
    SAVED.reversed().forEach(a::pop);
    a.ret();
  }

  /** All rows' next numbers. */
  private void rows(Assembler a) {
    a.mov(ROW, FIRST);
    a.mov(NEAR, WEIGHTS);
    a.mov(FAR, TWICE);
    a.add(FAR, TWICE);
    a.add(FAR, NEAR);
    int loop = a.here();
    for (int v = 0; v < vectors; v++) {
      a.vcvtph2ps(number(v), at(ROW, 32 * v));
    }
    for (int line = 0; line < 32 * vectors; line += 64) {
      a.prefetcht1(at(ROW, LATER, line));
    }
    for (int w = 0; w < weights; w++) {
      a.vpbroadcastd(weight(w), place(w));
      for (int v = 0; v < vectors; v++) {
        a.vfmadd231ps(sum(w, v), number(v), weight(w));
      }
    }
    a.add(NEAR, 4);
    a.add(FAR, 4);
    a.add(ROW, ROW_BYTES);
    a.cmp(ROW, END);
    a.jb(loop);
  }

  /** Loads sums, or stores them. */
  private void sums(Assembler a, boolean load) {
    a.mov(PLACE, SUMS);
    for (int w = 0; w < weights; w++) {
      for (int v = 0; v < vectors; v++) {
        if (load) {
          a.vmovups(sum(w, v), at(PLACE, 64 * v));
        } else {
          a.vmovups(at(PLACE, 64 * v), sum(w, v));
        }
      }
      a.add(PLACE, SUMS_BYTES);
    }
  }

  /** Of the current row. */
  private static Address place(int w) {
    Gpr base = w < 4 ? NEAR : FAR;
    return switch (w % 4) {
      case 0 -> at(base, 0);
      case 1 -> at(base, WEIGHTS_BYTES, 0);
      case 2 -> at(base, TWICE, 0);
      default -> at(base, THRICE, 0);
    };
  }

  private Zmm sum(int w, int v) {
    return zmm(w * vectors + v);
  }

  private Zmm number(int v) {
    return zmm(weights * vectors + v);
  }

  private Zmm weight(int w) {
    return zmm((weights + 1) * vectors + w % 2);
  }
}
