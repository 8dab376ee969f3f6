package org.moe4j.lab;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DomainMixture;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.TokenStream;
import org.moe4j.train.data.ValidationSet;

/** What models make of the texts of domains. */
final class DomainReader {
  private static final int MOST_TOKENS = 6_144;

  private final int sequences;
  private final int length;
  private final Device device;
  private final int tokens;

  /** Reads in batches of the shape of {@code config}, no more of a domain than the bench says. */
  DomainReader(TrainingConfig config, Bench bench) {
    this.device = bench.device();
    this.tokens = Math.min(MOST_TOKENS, bench.validationTokens());
    this.sequences = config.train().batchSize();
    this.length = config.data().sequenceLength();
  }

  /** Held-out tokens of a domain that are read. */
  int tokens() {
    return tokens;
  }

  private List<Batch> batches(TokenStream text, int most) {
    ValidationSet set = new ValidationSet(text, sequences, length, most);
    List<Batch> batches = new ArrayList<>();
    for (int i = 0; i < set.batches(); i++) {
      batches.add(set.batch(i));
    }
    return batches;
  }

  /** Mean nats of a held-out token of {@code part}, read as if it were of {@code domain}. */
  double labelled(Decoder model, DomainCorpus.Part part, int domain) {
    double nats = 0;
    int scored = 0;
    for (Batch batch : batches(part.validation(), tokens)) {
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        DomainMixture.Sequences texts = sequences(batch);
        Tensor label = Tensor.full(domain, DType.I64, texts.ids().device(), texts.ids().shape());
        TokenContext context = TokenContext.eval(batch.sequences(), batch.length());
        nats +=
            model
                    .loss(texts.ids(), texts.targets(), context.withDomains(label))
                    .crossEntropy()
                    .item()
                * batch.scored();
        scored += batch.scored();
      }
    }
    return nats / scored;
  }

  /**
   * What a mixture makes of a domain.
   *
   * @param nats of a held-out token, mean
   * @param weights of the experts, mean over tokens [n]
   */
  @SuppressWarnings("ArrayRecordComponent") // read once, never compared
  record Mixed(double nats, double[] weights) {}

  /**
   * The same where nobody says which domain it is: the prior is estimated on some of its training
   * text, then held-out text is read under it.
   */
  Mixed mixed(Decoder model, DomainCorpus.Part part) {
    try (Scope all = Scope.open()) {
      DomainMixture mixture = new DomainMixture(model);
      int cached = Math.min(DomainMixture.CACHED_SEQUENCES, tokens / length);
      List<DomainMixture.Sequences> some =
          batches(part.train(), cached * length).stream().map(this::sequences).toList();
      mixture.cachePrior(some, cached);
      double nats = 0;
      int scored = 0;
      int positions = 0;
      double[] weights = new double[mixture.prior().length];
      for (Batch batch : batches(part.validation(), tokens)) {
        try (Scope scope = Scope.open()) {
          DomainMixture.Scores scores = mixture.score(sequences(batch));
          nats -= Arrays.stream(scores.logProbability().toDoubles()).sum();
          double[] each = scores.weights().toDoubles();
          for (int i = 0; i < each.length; i++) {
            weights[i % weights.length] += each[i];
          }
          scored += batch.scored();
          positions += batch.inputs().length;
        }
      }
      for (int j = 0; j < weights.length; j++) {
        weights[j] /= positions;
      }
      return new Mixed(nats / scored, weights);
    }
  }

  /** A batch as tensors. */
  private DomainMixture.Sequences sequences(Batch batch) {
    long b = batch.sequences();
    long s = batch.length();
    return new DomainMixture.Sequences(
        Tensor.of(batch.inputs(), b, s).to(device), Tensor.of(batch.targets(), b, s).to(device));
  }
}
