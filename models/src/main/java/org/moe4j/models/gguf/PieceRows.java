package org.moe4j.models.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Iterator;
import java.util.List;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.moe4j.engine.gguf.GgufWriter;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Rows out of the pieces of a tensor, of which one is in memory at a time. */
final class PieceRows implements GgufWriter.Rows {
  private final Iterator<Supplier<Tensor>> pieces;
  private final UnaryOperator<Tensor> change;
  private @Nullable Tensor piece;
  private long at;

  /** Rows of {@code pieces} after {@code change}. */
  PieceRows(List<Supplier<Tensor>> pieces, UnaryOperator<Tensor> change) {
    this.pieces = pieces.iterator();
    this.change = change;
  }

  @Override
  public void read(long row, float[] into) {
    int filled = 0;
    while (filled < into.length) {
      Tensor from = current();
      int n = (int) Math.min(into.length - filled, from.numel() - at);
      MemorySegment numbers = from.segment();
      MemorySegment.copy(numbers, ValueLayout.JAVA_FLOAT, 4 * at, into, filled, n);
      filled += n;
      at += n;
      if (at == from.numel()) {
        from.close();
        piece = null;
      }
    }
  }

  private Tensor current() {
    Tensor now = piece;
    if (now == null) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        // A view where it can be: what it shows changes with the next piece, not before.
        now = change.apply(pieces.next().get().detach().to(DType.F32)).contiguous().keep();
      }
      piece = now;
      at = 0;
    }
    return now;
  }
}
