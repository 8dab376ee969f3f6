package org.moe4j.models;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.moe4j.DemixRouter;
import org.moe4j.DomainPosterior;
import org.moe4j.DomainPosterior.History;
import org.moe4j.MoeLayer;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A DEMix model on text of unknown domain (S14, "DEMix Layers", section 4.2): each expert reads the
 * whole text, in all layers at once, and their probabilities of the next token are mixed by the
 * posterior over domains given the tokens before. n experts cost n passes; those whose prior is 0
 * are not run (but by {@link History#LAST_TOKEN}). The prior is the model's state:
 *
 * <ul>
 *   <li>uniform in a new model;
 *   <li>updating: {@link #score} each batch, then {@link #update};
 *   <li>cached: {@link #cachePrior} from some text of the target domain, then {@link #score} alone.
 * </ul>
 */
public final class DomainMixture {
  /** So many sequences estimate a cached prior in the paper. */
  public static final int CACHED_SEQUENCES = 100;

  private static final int CHUNK = 512;

  private final Decoder model;
  private final History history;
  private final DemixRouter router;

  /** The paper's mixture, with the likelihood of all tokens before. */
  public DomainMixture(Decoder model) {
    this(model, History.FULL);
  }

  /**
   * The mixture over {@code model}'s experts, which stays the caller's.
   *
   * @throws MoeException unless every sparse layer is a DEMix layer, and there is one
   */
  public DomainMixture(Decoder model, History history) {
    if (!serves(model)) {
      throw new MoeException(
          "a mixture over domains needs a model whose sparse layers all have router \"demix\"");
    }
    this.model = model;
    this.history = history;
    this.router = (DemixRouter) sparse(model).getFirst().router();
  }

  /** Whether every sparse layer of {@code model} is a DEMix layer, and there is one. */
  public static boolean serves(Decoder model) {
    List<MoeLayer> layers = sparse(model);
    return !layers.isEmpty() && layers.stream().allMatch(l -> l.router() instanceof DemixRouter);
  }

  private static List<MoeLayer> sparse(Decoder model) {
    return model.blocks().stream().flatMap(b -> b.moe().stream()).toList();
  }

  /** The prior over experts [n]: the model's state. */
  public double[] prior() {
    return router.prior();
  }

  /** Fixes the prior [n]; it is normalised. */
  public void prior(double[] prior) {
    router.prior(prior, 1);
  }

  /** Forgets what the prior was estimated from: uniform again. */
  public void resetPrior() {
    double[] even = prior();
    Arrays.fill(even, 1);
    router.prior(even, 0);
  }

  /**
   * What the mixture says of a batch.
   *
   * @param logProbability of each target [B,S] F64; 0 where it is ignored
   * @param weights of the experts at each target, from the tokens before it [B,S,n] F64
   * @param posterior the weights at each sequence's last target, averaged over the sequences [n]
   */
  @SuppressWarnings("ArrayRecordComponent") // read once, never compared
  public record Scores(Tensor logProbability, Tensor weights, double[] posterior) {}

  /** Sequences to read, with the token behind each one, or {@link LmLoss#IGNORED}: [B,S] I64. */
  public record Sequences(Tensor ids, Tensor targets) {}

  /** Scores sequences under the present prior, each from its beginning. */
  public Scores score(Sequences batch) {
    long b = batch.ids.size(0);
    long s = batch.ids.size(1);
    double[] prior = prior();
    long[] targets = batch.targets.toLongs();
    List<Tensor> experts = new ArrayList<>();
    double[][] logs = new double[prior.length][targets.length];
    for (int j : active(prior)) {
      logs[j] = likelihood(hidden(batch.ids, j), targets);
    }
    for (double[] of : logs) {
      experts.add(Tensor.of(of, b, s));
    }
    Tensor likelihood = Tensor.stack(experts, 2);
    Tensor log = DomainPosterior.logWeights(likelihood, prior, history);
    Tensor scored = Tensor.of(targets, b, s).eq((double) LmLoss.IGNORED);
    Tensor mixed = DomainPosterior.mixed(likelihood, log).maskedFill(scored, 0);
    Tensor weights = log.exp();
    return new Scores(mixed, weights, posterior(weights.toDoubles(), targets, (int) s));
  }

  /** Hidden states [B*S,d] of expert j's pass over whole sequences. */
  private Tensor hidden(Tensor ids, int j) {
    try (NoGrad off = NoGrad.open()) {
      Tensor domain = Tensor.full(j, DType.I64, ids.device(), ids.shape());
      TokenContext context = TokenContext.eval(ids.size(0), ids.size(1)).withDomains(domain);
      return model.forward(ids, context).hidden().reshape(-1, model.config().hidden());
    }
  }

  /** log p of each target after hidden states [M,d], 0 where it is ignored. */
  private double[] likelihood(Tensor hidden, long[] targets) {
    double[] logs = new double[targets.length];
    for (int from = 0; from < targets.length; from += CHUNK) {
      int size = Math.min(CHUNK, targets.length - from);
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        long[] part = Arrays.copyOfRange(targets, from, from + size);
        long[] known = Arrays.stream(part).map(t -> t == LmLoss.IGNORED ? 0 : t).toArray();
        Tensor p = model.logits(hidden.narrow(0, from, size)).logSoftmax(-1);
        Tensor picked = p.gather(1, Tensor.of(known, size, 1).to(p.device()));
        System.arraycopy(picked.toDoubles(), 0, logs, from, size);
        for (int i = 0; i < size; i++) {
          logs[from + i] = part[i] == LmLoss.IGNORED ? 0 : logs[from + i];
        }
      }
    }
    return logs;
  }

  private static double[] posterior(double[] weights, long[] targets, int length) {
    int n = targets.length == 0 ? 0 : weights.length / targets.length;
    double[] sum = new double[n];
    int sequences = 0;
    for (int end = length; end <= targets.length && length > 0; end += length) {
      int last = end - 1;
      while (last >= end - length && targets[last] == LmLoss.IGNORED) {
        last--;
      }
      if (last >= end - length) {
        sequences++;
        for (int j = 0; j < n; j++) {
          sum[j] += weights[last * n + j];
        }
      }
    }
    int counted = Math.max(1, sequences);
    return Arrays.stream(sum).map(v -> v / counted).toArray();
  }

  /** Moves the prior towards a batch's posterior; the first one replaces a uniform prior. */
  public void update(Scores scores) {
    long batches = router.batches();
    double[] next =
        DomainPosterior.average(prior(), scores.posterior, batches == 0, DomainPosterior.DECAY);
    router.prior(next, batches + 1);
  }

  /**
   * Estimates the prior anew, by updating from the uniform one, and leaves it fixed.
   *
   * @param texts of the target domain
   * @param sequences no further batch is read behind so many; {@link #CACHED_SEQUENCES} in the
   *     paper
   */
  public void cachePrior(Iterable<Sequences> texts, int sequences) {
    resetPrior();
    long read = 0;
    for (Sequences batch : texts) {
      if (read >= sequences) {
        break;
      }
      try (Scope scope = Scope.open()) {
        update(score(batch));
      }
      read += batch.ids.size(0);
    }
  }

  /** Log-probabilities [B,S,V] F32 of what follows each token of whole sequences. */
  public Tensor logits(Tensor ids) {
    long b = ids.size(0);
    long s = ids.size(1);
    double[] prior = prior();
    Tensor shifted = Tensor.full(LmLoss.IGNORED, DType.I64, ids.device(), b, s);
    if (s > 1) {
      shifted.narrow(1, 0, s - 1).copyInPlace(ids.narrow(1, 1, s - 1));
    }
    long[] targets = shifted.toLongs();
    List<Tensor> known = new ArrayList<>();
    List<Tensor> next = new ArrayList<>();
    try (NoGrad off = NoGrad.open()) {
      for (int j : active(prior)) {
        Tensor hidden = hidden(ids, j);
        known.add(Tensor.of(likelihood(hidden, targets), b, s));
        next.add(model.logits(hidden).logSoftmax(-1).view(b, s, -1));
      }
      double[] some = Arrays.stream(active(prior)).mapToDouble(j -> prior[j]).toArray();
      Tensor log = DomainPosterior.logWeights(Tensor.stack(known, 2), some, history);
      Tensor all = Tensor.stack(next, 3).to(DType.F64);
      return DomainPosterior.mixed(all, log.to(ids.device()).unsqueeze(2)).to(DType.F32);
    }
  }

  /** The experts that are to be run: the released code has no prior at a sequence's beginning. */
  private int[] active(double[] prior) {
    boolean all = history == History.LAST_TOKEN;
    return IntStream.range(0, prior.length).filter(j -> all || prior[j] > 0).toArray();
  }

  /** Begins to read sequences token by token, with a cache for each expert. */
  Reading reading(int batch, int capacity) {
    return new Mixed(batch, capacity);
  }

  /** Row b * n + i of the cache is sequence b as the i-th active expert reads it. */
  private final class Mixed implements Reading {
    private final int[] experts;
    private final double[] prior;
    private final KvCache cache;
    private double[] logs; // [B*n] of the tokens that count as history
    private boolean begun;
    private @Nullable Tensor last; // [B*n,V] log-probabilities behind the newest token

    private Mixed(int batch, int capacity) {
      double[] all = prior();
      this.experts = active(all);
      this.prior = Arrays.stream(experts).mapToDouble(j -> all[j]).toArray();
      this.cache = model.newCache(batch * experts.length, capacity);
      this.logs = new double[batch * experts.length];
    }

    @Override
    public Tensor next(Tensor ids) {
      try (NoGrad off = NoGrad.open()) {
        int n = experts.length;
        long b = ids.size(0);
        long s = ids.size(1);
        Tensor rows = ids.repeatInterleave(n, 0);
        long[] domains = new long[(int) (b * n * s)];
        Arrays.setAll(domains, i -> experts[(int) (i / s) % n]);
        TokenContext context =
            TokenContext.decode(b * n, s).withDomains(Tensor.of(domains).to(ids.device()));
        remember(rows);
        Tensor hidden = model.norm().apply(model.read(rows, cache, context));
        for (long p = 0; p + 1 < s; p++) {
          // One position at a time: n experts' logits of a long prompt would not fit.
          Tensor logits = model.logits(hidden.select(1, p));
          add(logits.logSoftmax(-1), rows.narrow(1, p + 1, 1));
        }
        Tensor log = model.logits(hidden.select(1, s - 1)).logSoftmax(-1);
        if (last != null) {
          last.close();
        }
        last = log.keep();
        Tensor weights = weights(b).to(log.device()).unsqueeze(1);
        Tensor all = log.view(b, n, -1).transpose(1, 2);
        return DomainPosterior.mixed(all, weights).to(DType.F32);
      }
    }

    /** Scores the first new token by what was expected behind the ones before. */
    private void remember(Tensor rows) {
      if (last != null) {
        add(last, rows.narrow(1, 0, 1));
      }
    }

    private void add(Tensor log, Tensor token) {
      double[] p = log.gather(1, token.contiguous()).toDoubles();
      double[] before = history == History.FULL ? logs : new double[p.length];
      logs = new double[p.length];
      Arrays.setAll(logs, i -> before[i] + p[i]);
      begun = true;
    }

    /** log w [B,n] of the token to come. */
    private Tensor weights(long b) {
      int n = experts.length;
      boolean even = history == History.LAST_TOKEN && !begun;
      double[] log = new double[logs.length];
      Arrays.setAll(log, i -> even ? 0 : logs[i] + Math.log(prior[i % n]));
      return DomainPosterior.normalised(Tensor.of(log, b, n));
    }

    @Override
    public void close() {
      cache.close();
      if (last != null) {
        last.close();
        last = null;
      }
    }
  }
}
