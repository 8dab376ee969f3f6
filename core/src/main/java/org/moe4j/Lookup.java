package org.moe4j;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * What T tokens read of a large table: n rows each. Its two functions are each other's gradient and
 * never hold more rows at once than fit a core's cache: {@link #dots} multiplies the rows read by a
 * vector per token, {@link #mix} adds them up with weights. A table's gradient reaches the rows
 * that were read and no others, so that nothing here takes time in proportion to the table.
 */
final class Lookup {
  /** Bytes of table rows that a block gathers: what stays in a core's cache. */
  private static final long BLOCK_BYTES = 1 << 19;

  private final Tensor ids;
  private final int tableRows;
  private final boolean rowGradients;
  private final boolean holes;
  private @Nullable Groups groups;

  /**
   * A lookup.
   *
   * @param ids [T,n] I64, row numbers; -1 where a token reads nothing
   * @param tableRows rows of the tables that will be read
   * @param rowGradients whether a table's gradient is a tensor of the rows read alone ({@link
   *     Tensor#ofRows}) or one of all rows
   */
  Lookup(Tensor ids, int tableRows, boolean rowGradients) {
    this.ids = ids;
    this.tableRows = tableRows;
    this.rowGradients = rowGradients;
    this.holes = ids.lt(0).sum().item() > 0;
  }

  /**
   * The product of each row read with its token's vector.
   *
   * @param parameter the table [N,d], whose gradient is added to it directly
   * @param x [T,d]
   * @return [T,n] in the wider type of both, at least F32; unspecified where nothing is read
   */
  Tensor dots(Parameter parameter, Tensor x) {
    Tensor table = parameter.tensor();
    DType type = wide(table.dtype(), x.dtype());
    if (ids.device() != Device.CPU) {
      return plainDots(table, x.to(type));
    }
    return OwnGradient.apply(
        in -> {
          Tensor vectors = in[0].to(type);
          return new OwnGradient.Result(
              dots(table, in[1], vectors, type),
              (dy, needed) -> {
                Tensor weights = present(dy, in[1]);
                addGradient(parameter, in[1], vectors, weights);
                return new @Nullable Tensor[] {
                  needed[0] ? mix(table, in[1], weights, type).to(in[0].dtype()) : null, null
                };
              },
              in[0],
              in[1],
              vectors);
        },
        table.requiresGrad(),
        x,
        ids);
  }

  /**
   * The sum of the rows read, weighted.
   *
   * @param parameter the table [N,d], whose gradient is added to it directly
   * @param weights [T,n]; where nothing is read they do not matter
   * @return [T,d] in the wider type of both, at least F32
   */
  Tensor mix(Parameter parameter, Tensor weights) {
    Tensor table = parameter.tensor();
    DType type = wide(table.dtype(), weights.dtype());
    if (ids.device() != Device.CPU) {
      return plainMix(table, weights.to(type));
    }
    return OwnGradient.apply(
        in -> {
          Tensor own = present(in[0].to(type), in[1]);
          return new OwnGradient.Result(
              mix(table, in[1], own, type),
              (dy, needed) -> {
                addGradient(parameter, in[1], dy, own);
                Tensor dWeights = needed[0] ? dots(table, in[1], dy, type) : null;
                return new @Nullable Tensor[] {
                  dWeights == null ? null : present(dWeights, in[1]).to(in[0].dtype()), null
                };
              },
              in[0],
              in[1],
              own);
        },
        table.requiresGrad(),
        weights,
        ids);
  }

  /** {@link #mix} without a gradient, of a table of the type of the weights. */
  Tensor sums(Tensor table, Tensor weights) {
    return mix(table, ids, present(weights, ids), weights.dtype());
  }

  /** {@link #dots} by whole tensors [T,n,d]: for other devices, and as the reference of tests. */
  Tensor plainDots(Tensor table, Tensor x) {
    return wholeRows(table, x.dtype()).matmul(x.unsqueeze(2)).squeeze(2);
  }

  /** {@link #mix} by whole tensors [T,n,d]: for other devices, and as the reference of tests. */
  Tensor plainMix(Tensor table, Tensor weights) {
    return present(weights, ids).unsqueeze(1).matmul(wholeRows(table, weights.dtype())).squeeze(1);
  }

  private Tensor wholeRows(Tensor table, DType type) {
    return Ops.embedding(table, ids.maskedFill(ids.lt(0), 0)).to(type);
  }

  private static DType wide(DType a, DType b) {
    return a == DType.F64 || b == DType.F64 ? DType.F64 : DType.F32;
  }

  /** Weights with zeros where nothing is read. */
  private Tensor present(Tensor weights, Tensor rowIds) {
    return holes ? weights.maskedFill(rowIds.lt(0), 0) : weights;
  }

  /** Tokens whose rows make a block. */
  private static long block(long n, long d, DType type) {
    return Math.max(1, BLOCK_BYTES / Math.max(1, n * d * type.bytes()));
  }

  private Tensor dots(Tensor table, Tensor rowIds, Tensor x, DType type) {
    long n = rowIds.size(1);
    long d = table.size(1);
    Tensor values = table.detach();
    Tensor out = Tensor.empty(type, Device.CPU, rowIds.shape());
    long block = block(n, d, type);
    Tensor bags = Tensor.arange(0, block * n);
    Workers.rows(
        rowIds.size(0),
        block,
        (start, count) -> {
          Tensor rows = gather(values, flat(rowIds, start, count), bags).to(type);
          Tensor products =
              rows.view(count, n, d).mulInPlace(x.narrow(0, start, count).unsqueeze(1));
          out.narrow(0, start, count).copyInPlace(products.sum(2, false));
        });
    return out;
  }

  private Tensor mix(Tensor table, Tensor rowIds, Tensor weights, DType type) {
    long n = rowIds.size(1);
    long d = table.size(1);
    Tensor values = table.detach();
    Tensor out = Tensor.empty(type, Device.CPU, rowIds.size(0), d);
    long block = block(n, d, type);
    Tensor bags = Tensor.arange(0, block * n);
    Tensor starts = Tensor.arange(0, block).mul((double) n).to(DType.I64);
    Workers.rows(
        rowIds.size(0),
        block,
        (start, count) -> {
          Tensor index = flat(rowIds, start, count);
          Tensor own = weights.narrow(0, start, count);
          Tensor sum =
              table.dtype() == type
                  ? Ops.sumRows(values, index, starts.narrow(0, 0, count), own.reshape(count * n))
                  : own.unsqueeze(1)
                      .bmm(gather(values, index, bags).to(type).view(count, n, d))
                      .squeeze(1);
          out.narrow(0, start, count).copyInPlace(sum);
        });
    return out;
  }

  private Tensor flat(Tensor rowIds, long start, long count) {
    Tensor flat = rowIds.narrow(0, start, count).reshape(count * rowIds.size(1));
    return holes ? flat.maskedFill(flat.lt(0), 0) : flat;
  }

  /** A copy of rows. As sums of one row each it fetches ahead, which index_select does not. */
  private static Tensor gather(Tensor table, Tensor index, Tensor bags) {
    return Ops.sumRows(table, index, bags.narrow(0, 0, index.numel()));
  }

  /**
   * The rows of a table that were read, and the pairs of token and choice that read them.
   *
   * @param rows [R] numbers of the rows, rising
   * @param starts [R+1] where the pairs of each row begin
   * @param pairs numbers t * n + j of all pairs, by row and then in their order
   */
  private record Groups(long[] rows, int[] starts, long[] pairs) {
    /** Counts and sorts (stable); rows below 0 are left out. */
    static Groups of(long[] ids, int tableRows) {
      int[] next = new int[tableRows + 1];
      int distinct = 0;
      for (long id : ids) {
        if (id >= tableRows) {
          throw new MoeException(
              "row "
                  + id
                  + " of a table of "
                  + tableRows
                  + " rows; the routing and its experts"
                  + " do not belong together");
        }
        if (id >= 0 && next[(int) id + 1]++ == 0) {
          distinct++;
        }
      }
      long[] rows = new long[distinct];
      int[] starts = new int[distinct + 1];
      int at = 0;
      for (int r = 0; r < tableRows; r++) {
        if (next[r + 1] > 0) {
          rows[at] = r;
          starts[at + 1] = starts[at] + next[r + 1];
          at++;
        }
        next[r + 1] += next[r];
      }
      long[] pairs = new long[starts[distinct]];
      for (int p = 0; p < ids.length; p++) {
        if (ids[p] >= 0) {
          pairs[next[(int) ids[p]]++] = p;
        }
      }
      return new Groups(rows, starts, pairs);
    }

    /** Where blocks of about {@code size} pairs begin and end, in rows. */
    int[] blocks(long size) {
      int[] bounds = new int[(int) (pairs.length / size) + 2];
      int count = 1;
      for (int r = 1; r <= rows.length; r++) {
        if (r == rows.length || starts[r] - starts[bounds[count - 1]] >= size) {
          bounds[count++] = r;
        }
      }
      return Arrays.copyOf(bounds, count);
    }
  }

  /** Made once for both tables of an expert. */
  private Groups groups(Tensor rowIds) {
    Groups known = groups;
    if (known == null) {
      known = Groups.of(rowIds.toLongs(), tableRows);
      groups = known;
    }
    return known;
  }

  /**
   * What a gradient of all rows is made of: for every row that was read the sum over its readers of
   * the reader's vector times its weight.
   *
   * @param rows [R] I64 numbers of the rows, rising
   * @param sums [R,d]
   */
  record RowSums(Tensor rows, Tensor sums) {}

  /** The sums for vectors [T,d] and weights [T,n] of the same type. */
  RowSums rowSums(Tensor vectors, Tensor weights) {
    long rows = groups(ids).rows.length;
    return rowSums(
        ids, vectors, weights, Tensor.empty(vectors.dtype(), Device.CPU, rows, vectors.size(1)));
  }

  /** As above, written into {@code sums}. */
  private RowSums rowSums(Tensor rowIds, Tensor vectors, Tensor weights, Tensor sums) {
    Groups g = groups(rowIds);
    Tensor pairs = Tensor.of(g.pairs);
    Tensor tokens = pairs.floorDiv(rowIds.size(1));
    Tensor sorted = weights.reshape(weights.numel()).indexSelect(0, pairs);
    int[] bounds = g.blocks(block(1, vectors.size(1), vectors.dtype()));
    Workers.run(
        bounds.length - 1,
        i -> {
          int from = bounds[i];
          int begin = g.starts[from];
          long count = (long) g.starts[bounds[i + 1]] - begin;
          long[] starts = new long[bounds[i + 1] - from];
          for (int r = 0; r < starts.length; r++) {
            starts[r] = (long) g.starts[from + r] - begin;
          }
          sums.narrow(0, from, starts.length)
              .copyInPlace(
                  Ops.sumRows(
                      vectors,
                      tokens.narrow(0, begin, count),
                      Tensor.of(starts),
                      sorted.narrow(0, begin, count)));
        });
    return new RowSums(Tensor.of(g.rows), sums);
  }

  private void addGradient(Parameter parameter, Tensor rowIds, Tensor vectors, Tensor weights) {
    Tensor table = parameter.tensor();
    if (!table.requiresGrad()) {
      return;
    }
    Tensor before = table.grad().orElse(null);
    long rows = groups(rowIds).rows.length;
    Tensor memory =
        before == null && rowGradients
            ? parameter.gradientRows(rows)
            : Tensor.empty(table.dtype(), Device.CPU, rows, table.size(1));
    RowSums own = rowSums(rowIds, vectors.contiguous(), weights, memory);
    if (rowGradients && (before == null || before.isRows())) {
      Tensor gradient = Tensor.ofRows(own.rows, own.sums, table.shape());
      table.setGrad(before == null ? gradient : before.addRows(gradient));
      return;
    }
    Tensor all =
        before == null ? Tensor.zeros(table.dtype(), Device.CPU, table.shape()) : before.allRows();
    Tensor sum = before == null ? own.sums : all.indexSelect(0, own.rows).add(own.sums);
    table.setGrad(all.indexCopyInPlace(0, own.rows, sum));
  }
}
