# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-return"
"""More forward passes in torch's words: torch.nn.functional, heads, windows, places, matrices, recurrences."""

from collections.abc import Callable
from typing import Any

import torch
from functions import registered_in
from torch.nn import functional as F

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {}
axes = registered_in(FUNCTIONS)


# Activations, and networks of them


@axes("n p", "p h", "h", "h h", "h", "h h", "h", "h q", "q")
def mlp_of_four(X, W1, b1, W2, b2, W3, b3, W4, b4):
    H = F.leaky_relu(X @ W1 + b1)
    H = F.elu(H @ W2 + b2)
    H = F.mish(H @ W3 + b3)
    return H @ W4 + b4


@axes("n h", "h h", "h")
def mlp_of_twelve(X, W, b):
    H = X
    for _ in range(12):
        H = F.relu(H @ W + b)
    return H


@axes("n d")
def activations(X):
    a = F.logsigmoid(X) + F.hardtanh(X, -0.5, 2.0) + F.softsign(X)
    return a * F.elu(X, 0.7) + F.leaky_relu(X, 0.2) * torch.exp(F.mish(X))


@axes("n d")
def gelu_by_tanh(X):
    return F.gelu(X, approximate="tanh")


@axes("n 2*d")
def gated(X):
    return F.glu(X, dim=-1)


@axes("n p", "q p", "q")
def torch_linear(X, W, b):
    return F.linear(X, W, b)


@axes("n p", "n q", "o p q", "o")
def torch_bilinear(X, Y, W, b):
    return F.bilinear(X, Y, W, b)


# Losses


@axes("n", "n")
def huber_loss(y, t):
    return F.huber_loss(y, t, delta=0.7)


@axes("n d", "n d")
def smooth_l1(Y, T):
    return F.smooth_l1_loss(Y, T, reduction="sum", beta=0.5)


@axes("n d", "n d")
def kl_of_log_probabilities(Z, Y):
    return F.kl_div(F.log_softmax(Z, dim=-1), F.softmax(Y, dim=-1), reduction="batchmean")


@axes("n d", "n -> d")
def negative_log_likelihood(Z, t):
    P = F.log_softmax(Z, dim=1)
    return F.nll_loss(P, t) - P[torch.arange(P.shape[0]), t].sum()


@axes("n d", "n -> d")
def smoothed_cross_entropy(Z, t):
    return F.cross_entropy(Z, t, label_smoothing=0.1)


@axes("n d", "n d")
def cross_entropy_by_weights(Z, P):
    return F.cross_entropy(Z, P, reduction="sum")


@axes("n", "n")
def binary_with_logits(z, t):
    return F.binary_cross_entropy_with_logits(z, t)


@axes("n d", "n d", "n d")
def triplet(A, P, N):
    near, far = torch.norm(A - P, dim=-1), torch.norm(A - N, dim=-1)
    return torch.relu(near - far + 0.5).mean()


@axes("n d", "n d")
def clip_loss(A, B):
    S = F.normalize(A, dim=-1) @ F.normalize(B, dim=-1).T * 3
    labels = torch.eye(A.shape[0])
    return -(F.log_softmax(S, dim=1) * labels).sum() / A.shape[0]


# Norms


@axes("n d", "d", "d")
def torch_layer_norm(X, w, b):
    return F.layer_norm(X, (X.shape[-1],), w, b)


@axes("n d", "d")
def torch_rms_norm(X, w):
    return F.rms_norm(X, (X.shape[-1],), w, eps=1e-6)


@axes("n c l", "c", "c")
def torch_batch_norm(X, w, b):
    return F.batch_norm(X, None, None, w, b, training=True)


@axes("n 2*c l", "2*c", "2*c")
def torch_group_norm(X, w, b):
    return F.group_norm(X, 2, w, b)


@axes("n d", "n d")
def torch_cosine_similarity(X, Y):
    return F.cosine_similarity(X, Y, dim=-1)


# Attention


@axes("n d", "m d", "m v")
def torch_attention(Q, K, V):
    return F.scaled_dot_product_attention(Q, K, V)


@axes("n d", "n d", "n v")
def causal_attention(Q, K, V):
    mask = torch.ones(Q.shape[-2], Q.shape[-2]).tril()
    S = Q @ K.mT / Q.shape[-1] ** 0.5
    A = torch.softmax(S.masked_fill(mask == 0, float("-inf")), dim=-1)
    return A @ V


@axes("n d", "m d", "m v", "n m")
def attention_under_a_mask(Q, K, V, M):
    S = torch.where(M > -1, Q @ K.mT, -1e9)
    return torch.softmax(S, dim=-1) @ V


@axes("b n d", "d 2*c", "d 2*c", "d 2*c", "2*c d")
def heads(X, WQ, WK, WV, WO):
    Q, K, V = (Z.unflatten(-1, (2, -1)).transpose(1, 2) for Z in (X @ WQ, X @ WK, X @ WV))
    A = torch.softmax(Q @ K.mT / Q.shape[-1] ** 0.5, dim=-1)
    Y = (A @ V).transpose(1, 2).flatten(-2)
    return Y @ WO


@axes("n d", "n d", "n v")
def alibi_attention(Q, K, V):
    i = torch.arange(Q.shape[-2])
    distance = i[:, None] - i
    S = Q @ K.T - 0.3 * distance
    S = torch.where(distance >= 0, S, float("-inf"))
    return torch.softmax(S, dim=-1) @ V


@axes("n 2*d")
def rotary(X):
    n, width = X.shape
    half = width // 2
    angle = torch.arange(n)[:, None] * 100.0 ** (-torch.arange(half) / half)
    one, other = X.chunk(2, dim=-1)
    c, s = torch.cos(angle), torch.sin(angle)
    return torch.cat([one * c - other * s, other * c + one * s], dim=-1)


@axes("n d", "n n", "d h", "h", "h")
def graph_attention(X, N, W, a, b):
    H = X @ W
    E = F.leaky_relu((H @ a)[..., None] + (H @ b)[..., None, :], 0.2)
    mask = (N > 0) | torch.eye(N.shape[-1]).bool()
    A = torch.softmax(torch.where(mask, E, float("-inf")), dim=-1)
    return F.elu(A @ H)


@axes("b n d", "d", "d 2*c", "d 2*c", "d 2*c", "2*c d", "d", "d h", "d h", "h d")
def transformer_block_with_heads(X, w, WQ, WK, WV, WO, v, W1, V1, W2):
    N = F.rms_norm(X, (X.shape[-1],), w, eps=1e-6)
    Q, K, V = (Z.unflatten(-1, (2, -1)).transpose(1, 2) for Z in (N @ WQ, N @ WK, N @ WV))
    Y = F.scaled_dot_product_attention(Q, K, V, is_causal=True)
    H = X + Y.transpose(1, 2).flatten(2) @ WO
    M = F.rms_norm(H, (X.shape[-1],), v, eps=1e-6)
    return H + (F.silu(M @ W1) * (M @ V1)) @ W2


# Windows


@axes("n c l", "o c k", "o")
def strided_convolution(X, W, b):
    return F.conv1d(X, W, b, stride=2, padding=2)


@axes("n c h w", "o c k k")
def strided_convolution_2d(X, W):
    return F.conv2d(X, W, stride=(2, 1), padding=2, dilation=1).mean((2, 3))


@axes("n 2*c l", "2*o c k", "2*o")
def grouped_convolution(X, W, b):
    return F.conv1d(X, W, b, padding=2, groups=2)


@axes("n c l", "c 1 3")
def depthwise_convolution(X, W):
    return F.conv1d(X, W, padding=1, groups=X.shape[1])


@axes("n c h w")
def average_pool(X):
    return F.avg_pool2d(X, 2)


@axes("n c h*2 w*3")
def pooled_blocks(X):
    n, c, h, w = X.shape
    return X.reshape(n, c, h // 2, 2, w // 3, 3).mean((3, 5)) ** 2


# Places


@axes("n l d")
def first_and_last(X):
    return X[:, 0] * X[:, -1]


@axes("n d")
def differences(X):
    D = X[1:] - X[:-1]
    return (D**2).sum() + X[..., ::2].sum()


@axes("n p", "n q", "p", "q")
def put_together(X, Y, a, b):
    Z = torch.cat([X, Y], dim=-1)
    return torch.stack([X @ a, Y @ b, (Z * Z).sum(-1)], dim=1)


@axes("n d")
def largest(X):
    m = X.amax(-1, keepdim=True)
    return torch.exp(X - m) * X.amax(0) - X.amin(1, keepdim=True)


@axes("n n", "n")
def diagonals(X, x):
    return torch.triu(X, 1) * torch.outer(x, x) + X.diagonal() * torch.trace(X) + x.dot(X[0])


@axes("b n m", "b m k")
def products_of_stacks(X, Y):
    return torch.bmm(X, Y).permute(2, 0, 1).movedim(0, 1)


@axes("v d", "b n -> v", "n d")
def embedding_with_positions(W, t, P):
    return F.embedding(t, W) + P


# Matrices


@axes("n d", "d", "d d")
def mahalanobis(X, m, S):
    C = X - m
    P = torch.linalg.inv(S @ S.T + torch.eye(S.shape[0]))
    return ((C @ P) * C).sum(-1)


@axes("n d", "d", "d d")
def gaussian_log_likelihood(X, m, R):
    C = X - m
    S = R @ R.T + torch.eye(R.shape[0])
    P = torch.linalg.inv(S)
    return -((C @ P * C).sum(-1) + torch.logdet(S)) / 2


@axes("n n", "n m")
def solved(A, B):
    S = A @ A.T + 2 * torch.eye(A.shape[0])
    return torch.linalg.inv(S) @ B * torch.linalg.det(A)


# Recurrences


@axes("n 20 p", "p h", "h h", "h")
def rnn_of_twenty(X, W, U, b):
    H = torch.tanh(X[:, 0] @ W + b)
    for t in range(1, 20):
        H = torch.tanh(X[:, t] @ W + H @ U + b)
    return H


@axes("n 6 p", "p 4*h", "h 4*h", "4*h")
def lstm(X, W, U, b):
    H = C = torch.zeros(X.shape[0], U.shape[0])
    for t in range(6):
        i, f, g, o = (X[:, t] @ W + H @ U + b).chunk(4, dim=-1)
        i, f, o, g = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o), torch.tanh(g)
        C = f * C + i * g
        H = o * torch.tanh(C)
    return H


@axes("n 6 p", "n h", "p h", "h h", "p h", "h h", "p h", "h h")
def gru(X, H, Wz, Uz, Wr, Ur, Wn, Un):
    for t in range(6):
        x = X[:, t]
        z = torch.sigmoid(x @ Wz + H @ Uz)
        r = torch.sigmoid(x @ Wr + H @ Ur)
        c = torch.tanh(x @ Wn + r * (H @ Un))
        H = (1 - z) * c + z * H
    return H


@axes("n", "n n")
def first_of_all(x, X):
    return x * X[0, -1] + x[-1] * X[-2] + x[0] ** 2
