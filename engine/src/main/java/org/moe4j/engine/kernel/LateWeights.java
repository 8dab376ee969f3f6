package org.moe4j.engine.kernel;

import java.util.ArrayList;
import java.util.List;

/**
 * The matrices whose panels are packed when they are used. A part of what is left is packed between
 * any two steps, so that after some tokens no step waits for it any more.
 */
public final class LateWeights {
  private final List<LateMatrix> matrices = new ArrayList<>();
  private int matrix;
  private int panel;

  /** A panel that is not packed. */
  private record Left(LateMatrix matrix, int panel) {}

  synchronized void add(LateMatrix late) {
    matrices.add(late);
  }

  /** Packs so many bytes of those that are left; when no step runs. */
  public void pack(long bytes, Workers workers) {
    List<Left> some = some(bytes);
    workers.run(some.size(), (i, worker) -> some.get(i).matrix().keep(some.get(i).panel()));
  }

  private synchronized List<Left> some(long bytes) {
    List<Left> some = new ArrayList<>();
    long left = bytes;
    while (left > 0 && matrix < matrices.size()) {
      LateMatrix m = matrices.get(matrix);
      if (!m.kept(panel)) {
        some.add(new Left(m, panel));
        left -= m.bytes() / m.panels();
      }
      if (++panel == m.panels()) {
        panel = 0;
        matrix++;
      }
    }
    return some;
  }
}
