package org.moe4j.train.route;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.moe4j.MoeOutput;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.Loading;

/**
 * Runs a model over a text and analyses where its routers send the tokens. The text is read twice,
 * first to know its tokens and domains; what is kept of it has a size that does not depend on its
 * length. The mark that begins each sequence is read by the model, but counts nowhere.
 */
public final class RoutingStudy {
  /** A layer with more experts is left out: figures of that many help nobody. */
  private static final int MOST_EXPERTS = 4096;

  private static final int LONGEST_BY_DEFAULT = 2048;
  private static final long BATCH_BYTES = 1L << 30;
  private static final int MOST_BATCH_TOKENS = 8192;

  /** Entries of all tables of tokens by experts together. */
  private static final long TOKEN_ENTRIES = 1 << 24;

  private static final int MOST_TOKENS_LISTED = 8192;

  private final Subject subject;
  private final Sequences sequences;
  private final int context;
  private final Progress progress;
  private final TextSamples samples = new TextSamples();
  private final Map<Integer, LayerStudy> layers = new TreeMap<>();
  private final Map<Integer, String> leftOut = new TreeMap<>();

  /** Hears how far the study is. */
  @FunctionalInterface
  public interface Progress {
    /** {@code done} of {@code total} tokens were read by the model. */
    void tokens(long done, long total);
  }

  /**
   * How to look.
   *
   * @param context the most tokens that the model reads at once; if absent, the most it can, up to
   *     {@value RoutingStudy#LONGEST_BY_DEFAULT}
   * @param maxTokens the most tokens of all; 0 for the whole text
   */
  public record Options(OptionalInt context, long maxTokens) {
    /** Checks the numbers. */
    public Options {
      if (context.isPresent() && context.getAsInt() < 2) {
        throw new MoeException("context " + context.getAsInt() + ": must be at least 2");
      }
      if (maxTokens < 0) {
        throw new MoeException("max-tokens " + maxTokens + ": must be at least 0");
      }
    }
  }

  private RoutingStudy(Subject subject, TextInput text, Options options, Progress progress) {
    this.subject = subject;
    this.progress = progress;
    int most = subject.model().config().maxPositions();
    this.context = options.context().orElse(Math.min(most, LONGEST_BY_DEFAULT));
    if (context > most) {
      throw new MoeException("context " + context + ": the model reads " + most + " positions");
    }
    this.sequences = new Sequences(text, subject, context - 1, options.maxTokens());
  }

  /**
   * Looks at the model that {@code path} stands for.
   *
   * @throws MoeException in one line, when model or text are missing, damaged or empty, or the
   *     model has no sparse layer
   */
  public static RoutingFindings run(
      Path path, Loading how, TextInput text, Options options, Progress progress) {
    try (Subject subject = Subject.open(path, how)) {
      return run(path, subject, text, options, progress);
    }
  }

  static RoutingFindings run(
      Path path, Subject subject, TextInput text, Options options, Progress progress) {
    boolean sparse =
        subject.model().config().feedForward().stream().anyMatch(f -> f.sparse().isPresent());
    if (!sparse) {
      throw new MoeException(path + ": the model has no sparse layer, so nothing is routed");
    }
    return new RoutingStudy(subject, text, options, progress).findings(path, text);
  }

  private RoutingFindings findings(Path path, TextInput text) {
    long[] counts = new long[subject.vocab()];
    long[] domainTokens = new long[Sequences.MOST_DOMAINS];
    long[] total = new long[2];
    sequences.read(
        s -> {
          for (int id : s.ids()) {
            counts[id]++;
          }
          domainTokens[s.domain()] += s.ids().length;
          total[0] += s.ids().length;
          total[1]++;
        });
    if (total[0] == 0) {
      throw new MoeException(text.files().getFirst() + ": the text is empty; give it text");
    }
    List<String> domains = sequences.domains();
    Vocabulary vocabulary = new Vocabulary(counts, listed());
    long[] done = {0};
    Batcher batcher =
        new Batcher(
            subject.start(),
            batchTokens(),
            batch -> {
              samples.choose(batch);
              pass(batch, domains.size(), vocabulary);
              for (boolean counted : batch.counted()) {
                done[0] += counted ? 1 : 0;
              }
              progress.tokens(done[0], total[0]);
            });
    sequences.read(batcher::add);
    batcher.finish();
    Decoder model = subject.model();
    return new RoutingFindings(
        path,
        total[0],
        total[1],
        context,
        domains,
        Arrays.copyOf(domainTokens, domains.size()),
        layers.values().stream().map(layer -> layer.findings(model, subject)).toList(),
        samples.result(domains, subject),
        new ArrayList<>(leftOut.values()));
  }

  private void pass(TokenBatch batch, int domains, Vocabulary vocabulary) {
    long b = batch.sequences();
    long s = batch.length();
    Device device = subject.model().parameters().device();
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor ids = Tensor.of(batch.ids(), b, s).to(device);
      TokenContext known =
          TokenContext.eval(b, s).withDomains(Tensor.full(-1, DType.I64, device, b, s));
      byte[] real = new byte[batch.tokens()];
      boolean padded = false;
      for (int t = 0; t < real.length; t++) {
        real[t] = (byte) (batch.counted()[t] || t % s == 0 ? 1 : 0);
        padded |= real[t] == 0;
      }
      if (padded) {
        known = known.withPadding(Tensor.of(real, b, s).gt(0).to(device));
      }
      Map<Integer, MoeOutput> outputs = subject.model().forward(ids, known).moe();
      outputs.forEach((layer, out) -> layer(layer, out, batch, domains, vocabulary));
    }
  }

  private void layer(
      int layer, MoeOutput out, TokenBatch batch, int domains, Vocabulary vocabulary) {
    int experts = out.routing().expertCount();
    if (experts > MOST_EXPERTS) {
      leftOut.put(
          layer, "layer " + layer + " is left out: " + experts + " experts are too many to list");
      return;
    }
    try (Scope scope = Scope.open()) {
      RoutingTrace trace = RoutingTrace.of(layer, out.routing(), batch.tokens());
      layers
          .computeIfAbsent(layer, l -> new LayerStudy(trace, domains, vocabulary))
          .add(batch, trace);
      if (trace instanceof RoutingTrace.Chosen chosen) {
        samples.add(batch, chosen);
      }
    }
  }

  /** So many tokens that one forward pass stays within bounded memory, roughly counted. */
  private int batchTokens() {
    DecoderConfig config = subject.model().config();
    long perToken = 0;
    for (FeedForwardConfig half : config.feedForward()) {
      long sparse =
          half.sparse().stream()
              .mapToLong(moe -> 6L * moe.experts() + 4L * moe.topK() * moe.expertWidth())
              .sum();
      perToken += 4 * (16L * config.hidden() + Math.min(sparse, 1 << 20));
    }
    return Math.clamp(BATCH_BYTES / perToken, 1, MOST_BATCH_TOKENS);
  }

  /** So many tokens that counting each of them for each expert of each layer stays bounded. */
  private int listed() {
    long experts =
        subject.model().config().feedForward().stream()
            .flatMap(f -> f.sparse().stream())
            .mapToLong(moe -> Math.min(moe.experts(), MOST_EXPERTS))
            .sum();
    return (int) Math.min(MOST_TOKENS_LISTED, TOKEN_ENTRIES / experts);
  }
}
