"""Points, centres and scikit-learn's assignment of the points to the centres.

Needs: scikit-learn, numpy, safetensors. Run in this folder; writes ../resources/kmeans/.
"""

import numpy as np
from safetensors.numpy import save_file
from sklearn.cluster import KMeans

rng = np.random.default_rng(5)
centres = rng.normal(size=(8, 16)) * 2
train = np.concatenate([c + rng.normal(size=(40, 16)) for c in centres])
model = KMeans(n_clusters=8, n_init=1, random_state=0).fit(train)
points = np.concatenate([c + rng.normal(size=(12, 16)) for c in centres])
points = np.concatenate([points, rng.normal(size=(3, 16)), np.full((1, 16), 1e9)])
save_file(
    {
        "points": points,
        "centroids": model.cluster_centers_,
        "labels": model.predict(points).astype(np.int64),
    },
    "../resources/kmeans/predicted.safetensors",
)
